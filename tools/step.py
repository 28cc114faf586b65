"""Say what a step does, do it, say how long it took: python tools/step.py "What" -- COMMAND"""

import subprocess
import sys
import time


def main(title: str, command: list[str]) -> int:
    print(f"▸ {title}", flush=True)
    start = time.perf_counter()
    code = subprocess.run(command).returncode
    outcome = "done" if code == 0 else f"FAILED (exit {code})"
    print(f"  {outcome} in {time.perf_counter() - start:.0f} s", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[3:]))
