"""Reads the suite's index.json: counts by behaviour, and each case that is not as it should be."""

import json
import sys
from collections import Counter
from pathlib import Path

GOOD = {"OK", "INFORMATIONAL"}


def main(path: Path) -> int:
    bad = 0
    for agent, cases in json.loads(path.read_text()).items():
        counts = Counter(case["behavior"] for case in cases.values())
        print(f"{agent}: {', '.join(f'{count} {name}' for name, count in counts.most_common())}")
        for number, case in cases.items():
            if {case["behavior"], case["behaviorClose"]} - GOOD:
                bad += 1
                print(f"  {number}: {case['behavior']}, closing: {case['behaviorClose']}")
    return bad


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) > 0)
