"""A bootstrap as Lambda runs it: its environment, the Runtime API that it asks for work, and what it uses.

Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".
"""

import signal
import subprocess
import tempfile
import time
import uuid

from loopback import Loop

RUNTIME_API = "/2018-06-01/runtime/invocation/"
PATIENCE = 60  # seconds; valgrind makes a start take some
LIFETIME_MS = 29_000  # of an invocation, as in the stack

LAMBDA = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_SESSION_TOKEN": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/bench",
    "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    "_HANDLER": "bootstrap",
}


class Bootstrap:
    """Started when it is made; `with` ends it. Without its Runtime API it would end by itself."""

    def __init__(self, program, settings, tables, wrapper=()):
        self.name = program.parent.name
        self.loop = Loop()
        self.waiting = None  # the connection whose GET .../next is not answered yet
        self.ready_ns = None
        self.answer = None
        environment = LAMBDA | settings
        environment["AWS_LAMBDA_RUNTIME_API"] = self.loop.listen(self._runtime_api)
        environment["AWS_ENDPOINT_URL_DYNAMODB"] = "http://" + self.loop.listen(tables.answer)
        self.log = tempfile.TemporaryFile()
        self.spawned_ns = time.perf_counter_ns()
        self.process = subprocess.Popen(
            [*wrapper, program], env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        # The clock of its CPU time, all threads, in ns: clock_getcpuclockid(3), which Python does not have.
        self.cpu_clock = (~self.process.pid << 3) | 2

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGKILL)
        self.loop.close()
        self.log.close()

    def init_ns(self):
        """Waits until it asks for its first event; the time since its start."""
        self._until(lambda: self.waiting)
        return self.ready_ns - self.spawned_ns

    def invoke(self, event, expected):
        """Has it answer an event; the time until the answer came. Returns when it asks for the next."""
        headers = {
            "content-type": "application/json",
            "lambda-runtime-aws-request-id": str(uuid.uuid4()),
            "lambda-runtime-deadline-ms": int(time.time() * 1000) + LIFETIME_MS,
            "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:000000000000:function:bench",
            "lambda-runtime-trace-id": "Root=1-00000000-000000000000000000000000;Sampled=0",
        }
        connection, self.waiting, self.answer = self.waiting, None, None
        sent_ns = time.perf_counter_ns()
        connection.send("200 OK", headers, event)
        self._until(lambda: self.waiting)
        if not self.answer or expected not in self.answer.body:
            raise self.failure(f"answered {self.answer and self.answer.body[:300]}, without {expected}")
        return self.answer.arrived_ns - sent_ns

    def cpu_ns(self):
        """CPU time since its start."""
        return time.clock_gettime_ns(self.cpu_clock)

    def memory_kib(self, field):
        """A field of proc(5)'s status: VmHWM is the most that was resident at once, RssAnon what is no file's now."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(f"{field}:"))

    def end(self, with_signal):
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
            self.process.wait(PATIENCE)

    def failure(self, what):
        self.log.seek(0)
        return RuntimeError(f"{self.name} {what}\n{self.log.read()[-2000:].decode(errors='replace')}")

    def _until(self, done):
        end = time.monotonic() + PATIENCE
        while not done():
            self.loop.turn()
            if self.process.poll() is not None:
                raise self.failure(f"ended with status {self.process.returncode}")
            if time.monotonic() > end:
                raise self.failure(f"did nothing for {PATIENCE} s")

    def _runtime_api(self, connection, request):
        match request.path.removeprefix(RUNTIME_API).split("/"):
            case ["next"]:
                self.waiting = connection
                self.ready_ns = self.ready_ns or request.arrived_ns
            case [_, "response"]:
                self.answer = request
                connection.send("202 Accepted", {}, b"")
            case _:
                raise self.failure(f"reported {request.path}: {request.body[:300]}")
