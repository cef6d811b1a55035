"""Prints what the operator costs beside the Go peer: one row a question. Counts are exact; times are for this machine."""

import json, os, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
NUMBERS = [int(word) for word in sys.argv[1:]] or [50, 200, 1000]


def measure(script, *arguments):
    print("measuring:", script, *arguments, file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, os.path.join(HERE, script), *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(what, ours, peer=None, unit=""):
    show = lambda value: "–" if value is None else f"{value:.2f}".rstrip("0").rstrip(".") + unit
    ratio = "–" if not ours or not peer else f"{ours / peer:.2f}"
    print(f"| {what} | {show(ours)} | {show(peer)} | {ratio} |", flush=True)


print("| measured | ours | Go peer | ratio |\n|---|---|---|---|", flush=True)
one, peer = measure("latency.py", "--n", 20), measure("latency.py", "--n", 20, "--subject", "go")
for share in ("p50", "p99"):
    row(f"one project, instant platform: time to Ready, {share}", one["time_to_ready_s"][share], peer["time_to_ready_s"][share], " s")
for number in NUMBERS:
    longer = number >= 1000
    phases = "create,rest,start" if longer else "create"
    ours = measure("scale.py", "--n", number, "--phases", phases, "--settle", 80, "--rest", 120, "--restarts", 1)
    peer = measure("scale.py", "--n", number, "--subject", "go") if number <= 1000 else None
    mine, theirs = ours["create"], peer["create"] if peer else None
    of = lambda key: theirs[key] if theirs else None
    row(f"{number} at once: projects a second", mine["projects_per_s"], of("projects_per_s"))
    row(f"{number} at once: Management calls a project", mine["management_per_project_total"], of("management_per_project_total"))
    row(f"{number} at once: Kubernetes writes a project", mine["kubernetes_writes_per_project"], of("kubernetes_writes_per_project"))
    row(f"{number} at once: Kubernetes reads a project", mine["kubernetes_reads_per_project"], of("kubernetes_reads_per_project"))
    row(f"{number} at once: our CPU a project", mine["cpu_ms_per_project"], of("cpu_ms_per_project"), " ms")
    plane = lambda result: result["cpu_s"]["plane"] * 1000 / number
    row(f"{number} at once: CPU of API server and etcd a project", plane(mine), plane(theirs) if theirs else None, " ms")
    row(f"{number} at once: peak memory", mine["memory_mib"]["VmHWM"], theirs["memory_mib"]["VmHWM"] if theirs else None, " MiB")
    if longer:
        rest, start = ours["rest"], ours["start"][0]
        row(f"{number} at rest: Management calls a minute", rest["management_per_minute"])
        row(f"{number} at rest: reads an object and hour", rest["kubernetes_reads_per_minute"] * 60 / number)
        row(f"{number} at rest: CPU", rest["cpu_share"] * 100, None, " %")
        row(f"{number} at rest: memory", rest["memory_after_mib"]["VmRSS"], None, " MiB")
        row(f"{number}: from the start until all were looked at", start["passes_reach_n_s"], None, " s")
        row(f"{number}: memory after a start, at most", start["memory_mib"]["VmHWM"], None, " MiB")
limited = measure("scale.py", "--n", 200, "--limit", 120)["create"]
row("200 at once under 120 calls a minute", limited["wall_s"], None, " s")
