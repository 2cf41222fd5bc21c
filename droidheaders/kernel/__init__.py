"""What a device says about its kernel, asked for in one round trip."""

from droidheaders.kernel.identity import KernelIdentity as KernelIdentity
from droidheaders.kernel.probe import Probe as Probe
from droidheaders.kernel.probe import probe as probe
