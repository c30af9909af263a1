"""Runs the cases of a spec file against a server, as `wstest -m fuzzingclient` does, with as many messages as the spec allows.

    python fuzz.py SPEC OUTDIR URL

Before it starts it writes to OUTDIR/planned.json what will be run; at the end the suite writes its reports beside it, the
first of which is index.json. What belongs to no case (octets per case, how many cases there are) is this project's addition
to the spec of the suite.
"""

import json
import pathlib
import sys

import suite


def cap(cases, octets_per_case, least_messages):
    """Bounds how many messages the long cases (9.7, 9.8, 12 and 13) send, by their size."""
    for case in cases:
        if hasattr(case, "COUNT"):
            allowed = octets_per_case // max(case.LEN, 1)
            case.COUNT = min(case.COUNT, max(allowed, least_messages))


def main(spec_file, outdir, url):
    spec = json.loads(pathlib.Path(spec_file).read_text())
    spec["outdir"] = outdir
    spec["servers"] = [{"agent": "server", "url": url}]
    fuzzing = suite.load()
    if spec["octets-per-case"] is not None:
        cap(fuzzing.Cases, spec["octets-per-case"], spec["least-messages"])
    # The reactor starts its clock when it is loaded.
    from twisted.internet import reactor

    factory = fuzzing.FuzzingClientFactory(spec)
    if not factory.specCases:
        raise SystemExit(f"no case is meant by {spec['cases']}")
    pathlib.Path(outdir, "planned.json").write_text(json.dumps(factory.specCases))
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
