#!/usr/bin/env bash
# A Slurm of one node on loopback, with two fake GPUs: `cluster.sh start FOLDER`, `cluster.sh stop FOLDER`.
# Needs root. All files are in FOLDER but the configuration, which must be where jobs find it without SLURM_CONF:
# Snakemake's plugin gives them no variable of that kind.
set -euo pipefail
action=$1
folder=$(realpath -m "$2")
socket=$folder/munge/socket
conf=/etc/slurm/slurm.conf
unset SLURM_CONF

start() {
    if [ -e $conf ]; then
        echo "this machine already has Slurm: $conf" >&2
        return 1
    fi
    mkdir -p "$folder"/{state,spool} && install -d -o munge -g munge "$folder/munge"
    # munged refuses a socket that others could not reach, or could replace.
    chmod 755 "$folder" "$folder/munge"
    dd if=/dev/urandom of="$folder/munge/key" bs=128 count=1 status=none
    chown munge:munge "$folder/munge/key" && chmod 400 "$folder/munge/key"
    cat >$conf <<END
ClusterName=test
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$socket
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
MinJobAge=600
# More cores and memory than there are: the jobs of the test need little.
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:fake:2 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    # A file of its own for each: one with a Count and no File leaves the node invalid.
    cat >/etc/slurm/gres.conf <<END
Name=gpu Type=fake File=/dev/null
Name=gpu Type=fake File=/dev/zero
END
    setpriv --reuid=munge --regid=munge --clear-groups munged --socket="$socket" --key-file="$folder/munge/key" \
        --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
    slurmctld
    slurmd
    for _ in $(seq 60); do
        sinfo --noheader --format=%T 2>/dev/null | grep -q '^idle$' && return
        sleep 0.5
    done
    echo "the node does not come up:" >&2
    { sinfo -R; tail -n 20 "$folder"/*.log; } >&2
    return 1
}

stop() {
    for pid in slurmd.pid slurmctld.pid munge/pid; do
        [ -f "$folder/$pid" ] && kill "$(cat "$folder/$pid")" || true
    done
    rm -f $conf /etc/slurm/gres.conf
}

"$action"
