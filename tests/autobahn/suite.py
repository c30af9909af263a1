"""Loads the suite, which is written for Python 2, in the Python of today.

In Python 2 a text was a row of octets. Here each octet is one character of Latin-1: the sources are read as Latin-1, so that every
literal keeps its octets, and `Wire` turns characters into octets on the way out and back on the way in. The few constructs
that Python 3 does not know are replaced while a module is loaded; nothing on disk is changed, and a rule that finds
nothing stops the run, so that another version of the suite cannot be half translated unnoticed.

What is deliberately not here: the modes other than `fuzzingclient`, TLS, and the reports in HTML.
"""

import binascii
import importlib.abc
import importlib.metadata
import importlib.util
import json
import pathlib
import re
import sys
import types

SUITE = "autobahntestsuite"
FOLDER = pathlib.Path(importlib.metadata.distribution(SUITE).locate_file(SUITE))

# Module (from the suite's name on), pattern, replacement. `case.*` stands for any module of that folder.
RULES = [
    ("case.*", r"^from (case\w*) import", r"from .\1 import"),
    ("case.*", r"^import binascii$", "from suite import Hex as binascii"),
    ("case.*", r"\bxrange\(", "range("),
    ("case.*", r"\(object, Case, \)", "(Case, )"),
    ("case.*", r"^(\s*)print (.+)$", r"\1print(\2)"),
    # Case 9.9.1 is in no list, and needs what zope.interface no longer has.
    ("case", r"^from \.?case9_9_1 import \*$", ""),
    # What is equal may be pickled differently, as where one text is shared.
    ("case.case", r"pickle\.dumps\((obj\d)\)", r"\1"),
    ("case.case10_1_1", r"len\(self\.payload\) / ", "len(self.payload) // "),
    ("case.case12_x_x", r"^def onMessage\(self, msg, binary\):$", "\\g<0>\n   msg = octets(msg)"),
    ("case.case12_x_x", r"^import copy, os, pkg_resources", "from suite import octets, pkg_resources\nimport copy, os"),
    ("caseset", r"(\w+)\.has_key\(([^)]*)\)", r"(\2 in \1)"),
    ("caseset", r"'\\\.'", r"'\\\\.'"),
    ("fuzzing", r"^import os, json, binascii, time, textwrap, pkg_resources$",
     "import os, time, textwrap\nfrom suite import Hex as binascii, Json as json, Plain as ssl\nfrom wire import Wire as WebSocketClientProtocol"),
    ("fuzzing", r"^from twisted\.internet import reactor, ssl$", "from twisted.internet import reactor"),
    ("fuzzing", r"^from twisted\.web\..*$", ""),
    ("fuzzing", r",(\s*\\\s*)WebSocketClientProtocol$", ""),
    ("fuzzing", r"^from (case|caseset) import", r"from .\1 import"),
    ("fuzzing", r"^from report import CSS_COMMON, \\\s*CSS_DETAIL_REPORT, \\\s*CSS_MASTER_REPORT, \\\s*JS_MASTER_REPORT$", ""),
    ("fuzzing", r"^(\s*)print (.+)$", r"\1print(\2, flush = True)"),
    ("fuzzing", r"([\w.]+(?:\[\w+\])?)\.has_key\(([^)]*)\)", r"(\2 in \1)"),
    ("fuzzing", r"p = ''\.join\(payload\)", "p = b''.join(payload)"),
    ("fuzzing", r"^def (binLogData|asciiLogData)\(", r"def python2_\1("),
    ("fuzzing", r"^class FuzzingProtocol:$", "from suite import asciiLogData, binLogData\n\n\\g<0>"),
    ("fuzzing", r"produceHtml = True", "produceHtml = False"),
]


def octets(text):
    """Returns what goes over the wire for a text of the suite."""
    return text.encode("latin-1") if isinstance(text, str) else text


def binLogData(data, maxlen=64):
    """Returns octets in hexadecimal, as the suite's function of this name."""
    ellipses = " ..."
    data = octets(data)
    is_long = len(data) > maxlen - len(ellipses)
    return data[:maxlen].hex() + ellipses if is_long else data.hex()


def asciiLogData(data, maxlen=64, replace=False):
    """Returns octets as text where they are one, as the suite's function of this name."""
    ellipses = b" ..."
    octet = octets(data)
    shown = octet[:maxlen] + ellipses if len(octet) > maxlen - len(ellipses) else octet
    try:
        return shown.decode("utf-8", errors="replace" if replace else "strict")
    except UnicodeDecodeError:
        return "0x" + binLogData(octet, maxlen)


class Hex:
    """Stands for `binascii`, which takes and gives octets alone."""

    @staticmethod
    def b2a_hex(data):
        return binascii.b2a_hex(octets(data)).decode("ascii")

    hexlify = b2a_hex


class Json:
    """Stands for `json`, which refuses octets."""

    loads = staticmethod(json.loads)

    @staticmethod
    def dumps(value, **options):
        return json.dumps(value, default=lambda data: bytes(data).decode("latin-1"), **options)


class Plain:
    """Stands for `twisted.internet.ssl`: without it, OpenSSL's bindings need not be installed."""

    @staticmethod
    def ClientContextFactory():
        return None


class pkg_resources:
    """Stands for the module of this name, which setuptools no longer brings."""

    @staticmethod
    def resource_filename(package, name):
        assert package == SUITE
        return str(FOLDER / name)


class XorMasker:
    """Masks with one operation on a long number, where autobahn's own takes one for each octet."""

    def __init__(self, mask):
        self.mask = bytes(mask)
        self.at = 0

    def pointer(self):
        return self.at

    def reset(self):
        self.at = 0

    def process(self, data):
        turned = self.mask[self.at & 3:] + self.mask[:self.at & 3]
        self.at += len(data)
        key = (turned * (len(data) // 4 + 1))[:len(data)]
        masked = int.from_bytes(data, "little") ^ int.from_bytes(key, "little")
        return masked.to_bytes(len(data), "little")


class Utf8Validator:
    """Validates with Python's own decoder, where autobahn's steps through each octet."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.rest = b""
        self.total = 0

    def validate(self, data):
        """Returns whether it is valid so far and whether it ends on a code point; then positions, which are not exact."""
        data = self.rest + octets(data)
        self.rest = b""
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                return False, False, error.start, self.total + error.start
            self.rest = data[error.start:]
        self.total += len(data) - len(self.rest)
        return True, not self.rest, len(data), self.total


class Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the suite, and translates each as it is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] != SUITE:
            return None
        inner = FOLDER.joinpath(*name.split(".")[1:])
        is_package = inner.is_dir()
        file = inner / "__init__.py" if is_package else inner.with_suffix(".py")
        if not file.is_file():
            return None
        return importlib.util.spec_from_file_location(
            name, file, loader=self, submodule_search_locations=[str(inner)] if is_package else None)

    def exec_module(self, module):
        if module.__name__ == SUITE:
            # The package itself would load every mode.
            module.version = importlib.metadata.version(SUITE)
            return
        source = pathlib.Path(module.__file__).read_text(encoding="latin-1")
        exec(compile(translate(module.__name__, source), module.__file__, "exec"), module.__dict__)


used = set()


def translate(name, source):
    """Returns the source of a module for Python 3."""
    inner = name.partition(".")[2]
    for rule in RULES:
        module, pattern, replacement = rule
        is_meant = inner == module or (module == "case.*" and inner.split(".")[0] == "case")
        if is_meant:
            source, count = re.subn(pattern, replacement, source, flags=re.MULTILINE)
            if count:
                used.add(rule)
    return source


def load():
    """Returns the module `fuzzing` of the suite."""
    import autobahn.websocket.protocol as protocol

    protocol.createXorMasker = lambda mask, length=None: XorMasker(mask)
    for module in (protocol, importlib.import_module("autobahn.websocket.utf8validator")):
        module.Utf8Validator = Utf8Validator
    sys.meta_path.insert(0, Loader())
    fuzzing = importlib.import_module(SUITE + ".fuzzing")
    idle = [rule for rule in RULES if rule not in used]
    if idle:
        raise SystemExit(f"not the version of {SUITE} that this translates; nothing to replace: {idle}")
    return fuzzing

