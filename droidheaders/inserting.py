"""A run of kernel modules: what is known of device, kernel, cache and guests, put together.

One session does it all on the device. What judges the modules and attends to them, admitting.py and
attending.py, is imported while the device answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from droidheaders.change import is_boot_id
from droidheaders.errors import DeviceLostError, DroidheadersError, NoDeviceError, UnsupportedError
from droidheaders.identifying import Answers, Questions
from droidheaders.ordering import ordered
from droidheaders.run.expecting import Expectations
from droidheaders.run.inserting import Inserter, no_log
from droidheaders.run.insertion import Insertion
from droidheaders.run.meanwhile import Meanwhile
from droidheaders.run.recovery import recover
from droidheaders.run.scratch import making, not_made, reservation

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.cache import Cache
    from droidheaders.run.module import Event, ModuleJob
    from droidheaders.run.verdict import Verdict


def run_module(
    device: Device,
    job: ModuleJob,
    sink: Callable[[Event], None],
    open_cache: Callable[[], Cache],
) -> Verdict:
    """Insert the modules on the device, watch its log, remove them, and return what came of it.

    `sink` gets what happens as it comes. The device is left as it was found, but for what a crash
    of its kernel makes of it, and for what cannot be removed, which the journal has then. Raises
    UsageError for a file that is no module, UnsupportedError for one that the kernel does not take
    by what is known beforehand, NoRootError, and DroidheadersError when the run cannot be made.
    """
    files = ordered(job.files, job.parameters)
    inserted = [Insertion(one.name, f"{one.name}.ko", one.parameters) for one in files]
    expectations, questions = Expectations(job.expect, None), Questions()
    recover(device)
    answers: Answers | None = None
    with device.privileged() as root:
        try:
            with reservation(device) as entry, Meanwhile(lambda: _opened(open_cache)) as opened:
                place = entry.change.what
                with Inserter(root, place, inserted, questions.script, questions.end) as inserter:
                    answers = _answers(device, inserter, questions, place)
                    cache = opened.result()
                    from droidheaders import admitting, attending

                    kernel = admitting.admit(device, answers, files, cache, force=job.force)
                    device.push_all([(one.data, f"{place}/{one.name}.ko", 0o644) for one in files])
                    run = attending.Run(root, job, files, inserter, answers.boot_id, kernel)
                    verdict = run.run(expectations, sink)
                    if inserter.told.gone:
                        entry.remove()
                    return verdict
        except (DeviceLostError, NoDeviceError) as e:
            if answers is None:
                raise
            from droidheaders.attending import lost  # there was a device a moment ago

            return lost(device, answers, e)


def _opened(open_cache: Callable[[], Cache]) -> Cache:
    """Return the cache, with all imported that is needed once the device has answered: 0.1 s."""
    from droidheaders import admitting, attending  # noqa: F401
    from droidheaders.build import symvers  # noqa: F401

    return open_cache()


def _answers(device: Device, inserter: Inserter, questions: Questions, place: str) -> Answers:
    """Return what the device says of its kernel.

    Raises UnsupportedError when it does not answer what every Android does, DroidheadersError when
    the place for files cannot be made, or the kernel's log not be read.
    """
    output = inserter.answers(device.server.timeout)
    if output is None:
        if not inserter.has_log:
            raise no_log(device)
        if not inserter.has_place and (made := device.shell(making(place))).status:
            raise not_made(device, place, made.stderr)
        raise DroidheadersError(
            f"{device.name} could not begin: {inserter.reason}", f"{device.adb} shell su 0 id"
        )
    answers = questions.answered(device, output)
    if not is_boot_id(answers.boot_id):
        raise UnsupportedError(
            f"{device.name} does not tell its boot id, without which nothing is inserted there",
            f"{device.adb} shell cat /proc/sys/kernel/random/boot_id",
        )
    return answers
