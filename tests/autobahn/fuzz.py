import json, sys
import suite
spec = json.load(open(sys.argv[1]))
fuzzing = suite.load()
from twisted.internet import reactor
fuzzing.startClient(spec)
reactor.run()
