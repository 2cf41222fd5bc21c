"""The headers whose types BTF is made of: what programs that trace a kernel look into."""

from __future__ import annotations

# What a kernel does not have is skipped, and what does not compile is left out, so that names of
# all releases may be here. First what Kbuild includes everywhere, and what all else is built on;
# asm/ last, which relies on it. slab_def.h and slub_def.h do not compile without mm/slab.h.
_NAMES = """
linux/compiler_types.h linux/sched.h linux/mm.h linux/fs.h net/sock.h crypto/aead.h crypto/hash.h
crypto/skcipher.h drm/drm_crtc.h drm/drm_device.h drm/drm_file.h drm/drm_gem.h drm/gpu_scheduler.h
linux/acpi.h linux/aio.h linux/alarmtimer.h linux/android/binder.h linux/android_kabi.h
linux/android_vendor.h linux/arm-smccc.h linux/audit.h linux/backing-dev.h linux/binfmts.h
linux/bio.h linux/bitmap.h linux/blk-cgroup.h linux/blk-crypto.h linux/blk-integrity.h
linux/blk-mq.h linux/blk_types.h linux/blkdev.h linux/bpf-cgroup.h linux/bpf.h
linux/bpf_local_storage.h linux/bpf_lsm.h linux/bpf_mem_alloc.h linux/bpf_verifier.h linux/btf.h
linux/buffer_head.h linux/bvec.h linux/cdev.h linux/cgroup-defs.h linux/cgroup.h
linux/cgroup_namespace.h linux/clk-provider.h linux/clk.h linux/clockchips.h linux/clocksource.h
linux/cma.h linux/compaction.h linux/completion.h linux/context_tracking_state.h linux/coresight.h
linux/cpu.h linux/cpufreq.h linux/cpuhotplug.h linux/cpuidle.h linux/cpumask.h linux/cpuset.h
linux/cred.h linux/crypto.h linux/damon.h linux/dax.h linux/dcache.h linux/debugfs.h
linux/delayacct.h linux/devfreq.h linux/device-mapper.h linux/device.h linux/dma-buf.h
linux/dma-fence.h linux/dma-heap.h linux/dma-mapping.h linux/dma-resv.h linux/dmaengine.h
linux/elevator.h linux/elf.h linux/energy_model.h linux/ethtool.h linux/eventfd.h
linux/eventpoll.h linux/exportfs.h linux/extcon.h linux/f2fs_fs.h linux/fanotify.h linux/fb.h
linux/fdtable.h linux/file.h linux/filelock.h linux/filter.h linux/firmware.h linux/fs_context.h
linux/fs_parser.h linux/fs_struct.h linux/fscrypt.h linux/fsnotify_backend.h linux/fsverity.h
linux/ftrace.h linux/fuse.h linux/futex.h linux/genhd.h linux/gpio/driver.h linux/hid.h
linux/hrtimer.h linux/huge_mm.h linux/hugetlb.h linux/hw_breakpoint.h linux/hwspinlock.h
linux/i2c.h linux/icmp.h linux/idr.h linux/if_arp.h linux/if_bridge.h linux/if_ether.h
linux/if_tun.h linux/if_vlan.h linux/if_xdp.h linux/igmp.h linux/iio/iio.h linux/in.h linux/in6.h
linux/inet_diag.h linux/inetdevice.h linux/inotify.h linux/input.h linux/interconnect.h
linux/interrupt.h linux/io-pgtable.h linux/io_uring.h linux/io_uring_types.h linux/iocontext.h
linux/iomap.h linux/iommu.h linux/ioprio.h linux/ip.h linux/ipc_namespace.h linux/ipv6.h
linux/irq.h linux/irqdesc.h linux/jbd2.h linux/kallsyms.h linux/kernfs.h linux/key.h
linux/keyctl.h linux/kfifo.h linux/khugepaged.h linux/kobject.h linux/kprobes.h linux/kref.h
linux/ksm.h linux/kthread.h linux/ktime.h linux/kvm_host.h linux/leds.h linux/llist.h
linux/lockdep.h linux/lsm_audit.h linux/lsm_hooks.h linux/mailbox_client.h linux/maple_tree.h
linux/mdio.h linux/memcontrol.h linux/memory-tiers.h linux/mempolicy.h linux/mempool.h
linux/migrate.h linux/miscdevice.h linux/mm_types.h linux/mmc/card.h linux/mmc/host.h
linux/mmu_notifier.h linux/mmzone.h linux/mnt_namespace.h linux/module.h linux/mount.h
linux/mroute.h linux/msi.h linux/mutex.h linux/namei.h linux/net.h linux/netdevice.h
linux/netfilter.h linux/netfilter/x_tables.h linux/netfilter_ipv4/ip_tables.h
linux/netfilter_ipv6/ip6_tables.h linux/notifier.h linux/nsproxy.h linux/nvme.h
linux/nvmem-provider.h linux/of.h linux/oom.h linux/page-flags.h linux/pagemap.h linux/path.h
linux/pci.h linux/percpu-rwsem.h linux/percpu.h linux/perf_event.h linux/phy.h linux/phy/phy.h
linux/pid_namespace.h linux/pinctrl/pinctrl.h linux/pipe_fs_i.h linux/platform_device.h linux/pm.h
linux/pm_domain.h linux/pm_opp.h linux/pm_wakeup.h linux/poll.h linux/posix-timers.h
linux/posix_acl.h linux/power_supply.h linux/printk.h linux/proc_fs.h linux/proc_ns.h linux/psi.h
linux/psi_types.h linux/ptrace.h linux/pwm.h linux/quota.h linux/radix-tree.h linux/random.h
linux/rbtree.h linux/rcupdate.h linux/reboot.h linux/refcount.h linux/regmap.h
linux/regulator/consumer.h linux/regulator/driver.h linux/relay.h linux/remoteproc.h linux/reset.h
linux/ring_buffer.h linux/rmap.h linux/rpmsg.h linux/rseq.h linux/rtc.h linux/rtmutex.h
linux/rtnetlink.h linux/rwsem.h linux/sbitmap.h linux/sched/clock.h linux/sched/cputime.h
linux/sched/deadline.h linux/sched/ext.h linux/sched/loadavg.h linux/sched/mm.h linux/sched/prio.h
linux/sched/rt.h linux/sched/signal.h linux/sched/task.h linux/sched/topology.h linux/sched/user.h
linux/seccomp.h linux/security.h linux/semaphore.h linux/seq_file.h linux/serial_core.h
linux/serio.h linux/shrinker.h linux/signal.h linux/skbuff.h linux/skmsg.h linux/slab.h
linux/smp.h linux/soc/qcom/smem.h linux/sock_diag.h linux/socket.h linux/spi/spi.h
linux/spinlock.h linux/srcu.h linux/stacktrace.h linux/stop_machine.h linux/sunrpc/sched.h
linux/suspend.h linux/swap.h linux/swapops.h linux/syscalls.h linux/sysctl.h linux/sysfs.h
linux/task_work.h linux/taskstats.h linux/taskstats_kern.h linux/tcp.h linux/thermal.h
linux/tick.h linux/time_namespace.h linux/timekeeper_internal.h linux/timer.h linux/trace_events.h
linux/tracepoint.h linux/tty.h linux/udp.h linux/uio.h linux/un.h linux/uprobes.h linux/usb.h
linux/usb/gadget.h linux/usb/hcd.h linux/usb/pd.h linux/usb/typec.h linux/user_namespace.h
linux/userfaultfd_k.h linux/utsname.h linux/vfio.h linux/vhost.h linux/virtio.h
linux/virtio_config.h linux/virtio_net.h linux/virtio_ring.h linux/vm_sockets.h linux/vmalloc.h
linux/vmpressure.h linux/vmstat.h linux/wait.h linux/watchdog.h linux/workqueue.h
linux/writeback.h linux/ww_mutex.h linux/xarray.h linux/xattr.h linux/xfrm.h linux/zpool.h
linux/zsmalloc.h linux/zswap.h media/v4l2-dev.h net/act_api.h net/addrconf.h net/af_unix.h
net/af_vsock.h net/arp.h net/bluetooth/bluetooth.h net/bluetooth/hci_core.h net/cfg80211.h
net/devlink.h net/dst.h net/dst_metadata.h net/fib_rules.h net/flow.h net/genetlink.h net/gro.h
net/if_inet6.h net/inet_connection_sock.h net/inet_sock.h net/inet_timewait_sock.h net/ip.h
net/ip6_fib.h net/ip6_route.h net/ip_fib.h net/ip_tunnels.h net/ipv6.h net/mac80211.h
net/neighbour.h net/net_namespace.h net/netfilter/nf_conntrack.h net/netfilter/nf_nat.h
net/netfilter/nf_tables.h net/netlink.h net/page_pool.h net/page_pool/types.h net/ping.h
net/pkt_cls.h net/pkt_sched.h net/protocol.h net/raw.h net/rawv6.h net/request_sock.h net/route.h
net/rps.h net/sch_generic.h net/strparser.h net/tcp.h net/tcp_states.h net/tls.h net/udp.h
net/udp_tunnel.h net/xdp.h net/xdp_sock.h net/xfrm.h scsi/scsi_cmnd.h scsi/scsi_device.h
scsi/scsi_host.h sound/core.h sound/pcm.h sound/soc.h ufs/ufshcd.h asm/cpufeature.h asm/kvm_host.h
asm/mmu.h asm/pgtable.h asm/processor.h asm/ptrace.h asm/stacktrace.h asm/syscall.h
asm/thread_info.h asm/traps.h trace/events/sched.h trace/events/syscalls.h trace/syscall.h
"""
INCLUDES = tuple(_NAMES.split())
