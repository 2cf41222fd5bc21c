"""A run of a BPF object: what the rooms know of device, kernel, cache and guests, put together.

What does it, loading.py, is imported while the device answers the first question.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from droidheaders.errors import DeviceLostError, NoDeviceError, UnsupportedError, UsageError
from droidheaders.kernel.identity import SRCARCH
from droidheaders.objects.bpf import BpfObject, read_bpf
from droidheaders.objects.registers import registers_of
from droidheaders.run.expecting import Expectations
from droidheaders.run.greeting import ARCH, Greeting, greet
from droidheaders.run.job import Job
from droidheaders.run.meanwhile import Meanwhile
from droidheaders.run.naming import check_maps, check_variables
from droidheaders.run.recovery import recover
from droidheaders.run.scratch import reserved
from droidheaders.ui import printable

if TYPE_CHECKING:
    from pathlib import Path

    from droidheaders.adb import Device
    from droidheaders.cache import Cache
    from droidheaders.run.events import Event
    from droidheaders.run.verdict import Verdict

_LARGEST = 64 << 20  # of an object; those of a thousand programs have 2 MB


def run_bpf(
    device: Device,
    job: Job,
    sink: Callable[[Event], None],
    open_cache: Callable[[], Cache],
) -> Verdict:
    """Load the object on the device, watch it, and return what became of it.

    `sink` gets the loader's events as they come. The device is left as it was found. Raises
    UsageError for an object or a name that is wrong by itself, UnsupportedError for another
    architecture's object, NoRootError, and DroidheadersError when the run cannot be made.
    """
    file, data = _read(job.object)
    expectations = Expectations(job.expect, job.until)
    check_maps(file, (*job.entries, *job.dumps, *job.samples))
    check_variables(file, job.variables)
    if job.bpftool:
        job.check_bpftool()
    recover(device)
    greeting: Greeting | None = None
    with device.privileged() as root:
        try:
            with reserved(device) as place:
                with Meanwhile(lambda: greet(device, place)) as asked:
                    from droidheaders.loading import Run

                    greeting = asked.result()
                _check(device, file, greeting)
                run = Run(device, job, file, data, greeting, place, open_cache)
                return run.run(root, expectations, sink)
        except (DeviceLostError, NoDeviceError) as e:
            if greeting is None:
                raise
            from droidheaders.run import loss  # there was a device a moment ago
            from droidheaders.surviving import console_of

            return loss.judge(device, greeting.boot_id, e, console_of(device))


def _read(path: Path) -> tuple[BpfObject, bytes]:
    name = printable(str(path), 500)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
        return read_bpf(data), data
    except OSError as e:
        raise UsageError(f"cannot read {name}: {e.strerror}", "give a BPF object") from e
    except ValueError as e:
        raise UsageError(
            f"{name} {printable(str(e))}", "compile one: droidheaders build bpf prog.bpf.c"
        ) from e


def _check(device: Device, file: BpfObject, greeting: Greeting) -> None:
    """Raise UnsupportedError for what would load, if at all, and see other things than it means."""
    machine = greeting.machine
    if machine not in ARCH:
        raise UnsupportedError(
            f"{device.name} is {printable(machine)}, and BPF is run on {' and '.join(ARCH)} only"
        )
    if theirs := registers_of(file, machine):
        raise UnsupportedError(
            f"the object reads the registers of {theirs} (struct pt_regs), and {device.name} is"
            f" {machine}, where others are in their place",
            f"compile it for this device, with -D__TARGET_ARCH_{SRCARCH[machine]}",
        )
