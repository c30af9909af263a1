"""The connection as the cases see it: texts of Python 2 on their side, octets on the socket."""

from autobahn.twisted.websocket import WebSocketClientProtocol

from suite import octets


class Wire(WebSocketClientProtocol):
    """A client of autobahn that takes and gives texts whose characters are octets."""

    def sendFrame(self, opcode, payload=b"", fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, sync=False):
        payload = octets(payload)
        if payload_len is not None:
            # Autobahn's own repetition divides as Python 2 does.
            payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        super().sendFrame(opcode, payload, fin, rsv, mask, None, chopsize, sync)

    def sendMessage(self, payload, isBinary=False, fragmentSize=None, sync=False, doNotCompress=False):
        super().sendMessage(octets(payload), isBinary, fragmentSize, sync, doNotCompress)

    def sendMessageFrameData(self, payload, sync=False):
        return super().sendMessageFrameData(octets(payload), sync)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        super().sendCloseFrame(code, octets(reasonUtf8), isReply)

    def _onMessage(self, payload, isBinary):
        self.onMessage(payload.decode("latin-1"), isBinary)

    def _onPong(self, payload):
        self.onPong(payload.decode("latin-1"))
