"""What every measurement needs: a control plane, the simulated platform, the operator, and counting. Standard library only."""

import base64, contextlib, http.client, json, os, queue, shutil, signal, socket, ssl, statistics, subprocess, sys, tempfile
import threading, time, urllib.request
from collections import Counter

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHECKOUT = os.environ["CHECKOUT"]
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(CHECKOUT, "target"))
OPERATOR = os.environ.get("OPERATOR", os.path.join(TARGET, "release", "supabase-operator"))
PLATFORM = os.environ["PLATFORM"]
GO_PEER = os.environ["GO_PEER"]
GROUP, VERSION = "supabase-operator.dev", "v1alpha1"
SYSTEM, NAME = "supabase-system", "supabase-operator"
TICK = os.sysconf("SC_CLK_TCK")


def ensure(name):
    return subprocess.check_output([os.path.join(CHECKOUT, "tests/tools/ensure"), name], text=True).strip()


# A harness that is told to stop tidies up; in the background of a shell it would not hear of SIGINT.
signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
signal.signal(signal.SIGINT, signal.default_int_handler)


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, max(0, int(len(values) * share + 0.5) - 1))] if values else float("nan")


def spread(values):
    return {"n": len(values), "min": min(values), "p50": quantile(values, 0.5), "p90": quantile(values, 0.9),
            "p99": quantile(values, 0.99), "max": max(values), "mean": statistics.fmean(values)} if values else {"n": 0}


class Process:
    """A child with its costs."""

    def __init__(self, command, env=None, log_file=None, stdin=None, wait_for=None):
        self.log_file = log_file
        out = open(log_file, "ab") if log_file else subprocess.DEVNULL
        pipe = subprocess.PIPE if wait_for else out
        self.child = subprocess.Popen(command, env=env, stdin=stdin or subprocess.DEVNULL, stdout=pipe, stderr=out)
        self.begun = time.monotonic()
        self.ready = None
        if wait_for:
            for line in self.child.stdout:
                if line.startswith(wait_for):
                    self.ready = line[len(wait_for):].decode().strip()
                    break
            if self.ready is None:
                raise SystemExit(f"{command[0]} ended at once, see {log_file}")
            threading.Thread(target=self.child.stdout.read, daemon=True).start()

    @property
    def pid(self):
        return self.child.pid

    def cpu(self):
        fields = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        """VmRSS, VmHWM and anonymous memory, in MiB."""
        seen = {}
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith(("VmRSS", "VmHWM", "RssAnon")):
                seen[line.split(":")[0]] = int(line.split()[1]) / 1024
        return seen

    def reset_peak(self):
        with contextlib.suppress(OSError), open(f"/proc/{self.pid}/clear_refs", "w") as file:
            file.write("5")

    def alive(self):
        return self.child.poll() is None

    def stop(self, how=signal.SIGTERM, within=40):
        if self.alive():
            self.child.send_signal(how)
            try:
                self.child.wait(within)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode


class Kube:
    """A thin client of the API server with the administrator's certificate: keep-alive per thread."""

    def __init__(self, kubeconfig, kubectl, folder):
        view = json.loads(subprocess.check_output([kubectl, "--kubeconfig", kubeconfig, "config", "view", "--raw", "-o", "json"]))
        cluster, user = view["clusters"][0]["cluster"], view["users"][0]["user"]
        self.host = cluster["server"].split("//")[1]
        self.context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        pair = os.path.join(folder, "admin.pem")
        with open(os.open(pair, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"]))
        self.context.load_cert_chain(pair)
        self.local = threading.local()

    def connect(self):
        connection = http.client.HTTPSConnection(self.host, context=self.context, timeout=60)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def call(self, method, path, body=None, kind="application/json", fail=True):
        for attempt in range(3):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = self.connect()
            try:
                connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": kind, "Accept": "application/json"})
                answer = connection.getresponse()
                raw = answer.read()
                break
            except (http.client.HTTPException, OSError):
                self.local.connection = None
                if attempt == 2:
                    raise
        if answer.status >= 300 and fail:
            raise RuntimeError(f"{method} {path}: {answer.status} {raw[:300]}")
        try:
            return json.loads(raw) if raw else None
        except ValueError:
            if fail:
                raise
            return {}

    def many(self, jobs, threads=8):
        """Runs calls (tuples of arguments) in several threads; gives the moment each was answered."""
        todo, done = queue.SimpleQueue(), {}
        for index, job in enumerate(jobs):
            todo.put((index, job))

        def work():
            with contextlib.suppress(queue.Empty):
                while True:
                    index, job = todo.get_nowait()
                    self.call(*job)
                    done[index] = time.monotonic()

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return done

    def watch(self, path, on_event, stop):
        """Watches in a thread: on_event(type, object, moment). Begins with what is there."""
        begun = threading.Event()

        def run():
            listed = self.connect()
            listed.request("GET", path, headers={"Accept": "application/json"})
            body = json.loads(listed.getresponse().read())
            for item in body["items"]:
                on_event("ADDED", item, time.monotonic())
            version = body["metadata"]["resourceVersion"]
            while not stop.is_set():
                with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                    connection = self.connect()
                    connection.request("GET", f"{path}?watch=true&resourceVersion={version}&timeoutSeconds=3600", headers={"Accept": "application/json"})
                    answer = connection.getresponse()
                    begun.set()
                    for line in answer:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            return
                        version = event["object"]["metadata"]["resourceVersion"]
                        on_event(event["type"], event["object"], time.monotonic())
                        if stop.is_set():
                            return
                time.sleep(0.1)

        threading.Thread(target=run, daemon=True).start()
        begun.wait(60)


class Audit:
    """Requests by user, out of the audit log, from a mark on."""

    def __init__(self, path):
        self.path, self.offset = path, 0

    def mark(self):
        time.sleep(0.3)
        self.offset = os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def count(self, user):
        time.sleep(0.3)
        reads, writes, refused = Counter(), Counter(), Counter()
        if not os.path.exists(self.path):
            return {"reads": {}, "writes": {}, "refused": {}}
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            for line in file:
                if user.encode() not in line:
                    continue
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if entry["user"]["username"] != user:
                    continue
                about = entry.get("objectRef") or {}
                what = about.get("resource", entry.get("requestURI", "?").split("?")[0])
                if about.get("subresource"):
                    what += "/" + about["subresource"]
                verb = entry["verb"]
                code = (entry.get("responseStatus") or {}).get("code", 0)
                (reads if verb in ("get", "list", "watch") else writes)[f"{verb} {what}"] += 1
                if code >= 400:
                    refused[f"{code} {verb} {what}"] += 1
        return {"reads": dict(reads), "writes": dict(writes), "refused": dict(refused),
                "reads_total": sum(reads.values()), "writes_total": sum(writes.values())}


class Platform(Process):
    def __init__(self, folder, *arguments):
        super().__init__([PLATFORM, *arguments], log_file=os.path.join(folder, "platform.log"), stdin=subprocess.PIPE, wait_for=b"READY ")
        said = json.loads(self.ready)
        self.endpoint, self.token = said["endpoint"], said["token"]
        host, port = said["control"].split(":")
        self.control = socket.create_connection((host, int(port))).makefile("rw")
        self.lock = threading.Lock()

    def say(self, *words):
        with self.lock:
            self.control.write(" ".join(map(str, words)) + "\n")
            self.control.flush()
            return json.loads(self.control.readline())


class Operator(Process):
    def __init__(self, world, name="operator", **changed):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **world.environment, "SUPABASE_OPERATOR_NAMESPACE": SYSTEM,
               "SUPABASE_OPERATOR_IDENTITY": name, "SUPABASE_OPERATOR_LISTEN": f"127.0.0.1:{self.port}", "KUBECONFIG": world.operator_kubeconfig,
               **{key: str(value) for key, value in changed.items()}}
        super().__init__([*os.environ.get("WRAP", "").split(), OPERATOR, "run"], env=env, log_file=os.path.join(world.folder, f"{name}.log"))

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def wait_ready(self, within=60):
        while time.monotonic() - self.begun < within:
            if not self.alive():
                raise SystemExit(f"the operator ended, see {self.log_file}")
            if self.get("/readyz") == "ok\n":
                return time.monotonic() - self.begun
            time.sleep(0.005)
        raise SystemExit("the operator was not ready in time")

    def metrics(self):
        found = {}
        for line in (self.get("/metrics") or "").splitlines():
            if not line.startswith("#"):
                key, value = line.rsplit(" ", 1)
                found[key.removeprefix("supabase_operator_")] = float(value)
        return found

    def passes(self, kind="SupabaseProject"):
        return sum(value for key, value in self.metrics().items() if key.startswith("passes_total") and f'kind="{kind}"' in key)


class World:
    """A control plane and a platform, with the chart installed and a connection; the operator runs when it is started."""

    user = f"system:serviceaccount:{SYSTEM}:{NAME}"

    def __init__(self, *platform_arguments, chart=True, values=""):
        self.values = values
        self.folder = tempfile.mkdtemp(prefix="bench-")
        self.kubectl = ensure("kubectl")
        audit = os.path.join(self.folder, "audit.log")
        self.plane = Process([ensure("controlplane"), "-dir", os.path.join(self.folder, "plane"), "-audit-log", audit, "-exit-with-stdin",
                              "--", "--audit-log-maxsize=100000"],
                             log_file=os.path.join(self.folder, "plane.log"), stdin=subprocess.PIPE, wait_for=b"READY ")
        self.kubeconfig = self.plane.ready
        self.kube = Kube(self.kubeconfig, self.kubectl, self.folder)
        self.audit = Audit(audit)
        self.platform = Platform(self.folder, *platform_arguments)
        self.namespaces = set()
        self.processes = []
        if chart:
            self.install()

    def install(self):
        helm = ensure("helm4")
        env = {**os.environ, "KUBECONFIG": self.kubeconfig, **{f"HELM_{kind}_HOME": os.path.join(self.folder, "helm") for kind in ("CACHE", "CONFIG", "DATA")}}
        subprocess.run([helm, "install", NAME, os.path.join(CHECKOUT, "charts/supabase-operator"), "--namespace", SYSTEM, "--create-namespace",
                        "--set", f"managementAPI.endpoint={self.platform.endpoint},replicas=0{self.values and ',' + self.values}"], env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.operator_kubeconfig = os.path.join(self.folder, "operator.kubeconfig")
        shutil.copy(self.kubeconfig, self.operator_kubeconfig)
        token = self.kube.call("POST", f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{NAME}/token",
                               {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}})["status"]["token"]
        config = [self.kubectl, "--kubeconfig", self.operator_kubeconfig, "config"]
        subprocess.run([*config, "set-credentials", "operator", f"--token={token}"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*config, "set-context", "--current", "--user=operator"], check=True, stdout=subprocess.DEVNULL)
        deployment = self.kube.call("GET", f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/{NAME}")
        variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        self.environment = {one["name"]: one["value"] for one in variables if one.get("value")}

    def namespace(self, name):
        if name not in self.namespaces:
            self.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}}, "application/json", False)
            self.namespaces.add(name)

    def connection(self, namespace="bench", organization="acme"):
        self.namespace(namespace)
        self.kube.call("POST", f"/api/v1/namespaces/{namespace}/secrets",
                       {"metadata": {"name": "token"}, "stringData": {"token": self.platform.token}})
        self.kube.call("POST", self.path("supabaseconnections", namespace),
                       {"apiVersion": f"{GROUP}/{VERSION}", "kind": "SupabaseConnection", "metadata": {"name": "acme"},
                        "spec": {"organizationSlug": organization, "auth": {"personalAccessToken": {"secretKeyRef": {"name": "token", "key": "token"}}}}})

    @staticmethod
    def path(plural, namespace=None, name=None):
        return f"/apis/{GROUP}/{VERSION}" + (f"/namespaces/{namespace}" if namespace else "") + f"/{plural}" + (f"/{name}" if name else "")

    def project(self, name, namespace="bench", **spec):
        return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "SupabaseProject", "metadata": {"name": name, "namespace": namespace},
                "spec": {"connectionRef": {"kind": "SupabaseConnection", "name": "acme"}, "region": "eu-central-1", **spec}}

    def operator(self, name="operator", **changed):
        process = Operator(self, name, **changed)
        self.processes.append(process)
        return process

    def wait_connection(self, namespace="bench", within=60):
        until = time.monotonic() + within
        while time.monotonic() < until:
            status = self.kube.call("GET", self.path("supabaseconnections", namespace, "acme")).get("status") or {}
            if any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", [])):
                return
            time.sleep(0.1)
        raise SystemExit("the connection did not become Ready")

    def close(self):
        for process in self.processes:
            process.stop(within=20)
        for process in (self.platform, self.plane):
            with contextlib.suppress(OSError):
                process.child.stdin.close()
            process.stop(signal.SIGKILL)
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def is_ready(item):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in (item.get("status") or {}).get("conditions") or [])


class Ready:
    """When each object was seen, and became Ready, by a watch."""

    def __init__(self, world, path):
        self.at, self.refs, self.events = {}, {}, 0
        self.condition, self.stop = threading.Condition(), threading.Event()
        world.kube.watch(path, self.seen, self.stop)

    def seen(self, _, item, moment):
        self.events += 1
        key = (item["metadata"].get("namespace"), item["metadata"]["name"])
        if is_ready(item) and key not in self.at:
            with self.condition:
                self.at[key] = moment
                self.refs[key] = (item["status"].get("ref") or item["status"].get("reference"))
                self.condition.notify_all()

    def wait(self, count, within, alive=lambda: True):
        until, told = time.monotonic() + within, time.monotonic()
        with self.condition:
            while len(self.at) < count and time.monotonic() < until and alive():
                self.condition.wait(1)
                if time.monotonic() - told > 20:
                    told = time.monotonic()
                    log(f"{len(self.at)} of {count} Ready")
        return len(self.at) >= count


def save(name, result):
    folder = os.environ["RESULTS"]
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{name}-{time.strftime('%H%M%S')}.json")
    with open(path, "w") as file:
        json.dump(result, file, indent=1, sort_keys=True)
    print(json.dumps(result, sort_keys=True))
    log("saved", path)
