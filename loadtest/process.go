package loadtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Watch names processes whose processor time and memory are taken down. Their
// children count, too.
type Watch struct {
	Name string
	PIDs []int
}

// ParseWatch reads "broker=123,456".
func ParseWatch(text string) (Watch, error) {
	name, list, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return Watch{}, fmt.Errorf("watch %q: want NAME=PID,PID", text)
	}
	w := Watch{Name: name}
	for field := range strings.SplitSeq(list, ",") {
		pid, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || pid < 1 {
			return Watch{}, fmt.Errorf("watch %q: %q is no process ID", text, field)
		}
		w.PIDs = append(w.PIDs, pid)
	}
	return w, nil
}

// process is what /proc tells of one: see proc(5). Elsewhere than on Linux there
// is none, and nothing is taken down.
type process struct {
	pid, parent int
	cpu         float64 // seconds, of all its threads
	memory      int64   // resident bytes
}

// ticksPerSecond is USER_HZ, 100 on every architecture that Go runs on.
const ticksPerSecond = 100

func readProcess(pid int) (process, bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, false
	}
	// The command's name, in parentheses, may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return process{}, false
	}
	number := func(field int) int64 { // counted from 1, as proc(5) does
		n, _ := strconv.ParseInt(string(fields[field-3]), 10, 64) // a number, or the kernel has changed its format
		return n
	}
	return process{
		pid: pid, parent: int(number(4)),
		cpu:    float64(number(14)+number(15)) / ticksPerSecond,
		memory: number(24) * int64(os.Getpagesize()),
	}, true
}

// allProcesses returns every process by its ID.
func allProcesses() map[int]process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	all := map[int]process{}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if p, ok := readProcess(pid); ok {
				all[pid] = p
			}
		}
	}
	return all
}

// Usage is what a group of processes used in an interval.
type Usage struct {
	Cores  float64 `json:"cores"` // processor seconds a second
	Memory float64 `json:"memory_mb"`
}

// meter takes down what groups of processes use.
type meter struct {
	watches []Watch
	own     int             // this process, whose children are others' business
	before  map[int]float64 // processor seconds by process, at the last reading
	cpu     map[string]float64
	machine [2]float64 // busy and all processor seconds of the machine, at the last reading
}

// generatorName is the group that this process is.
const generatorName = "generator"

func newMeter(watches []Watch) *meter {
	m := &meter{watches: watches, own: os.Getpid(), before: map[int]float64{}, cpu: map[string]float64{}}
	m.read(1)
	m.cpu = map[string]float64{}
	return m
}

// read returns what each group used since the last reading, that many seconds
// ago, and which part of the machine's processors was busy.
func (m *meter) read(seconds float64) (map[string]Usage, float64) {
	all := allProcesses()
	if all == nil {
		return nil, 0
	}
	usage := map[string]Usage{}
	for _, w := range m.watches {
		usage[w.Name] = m.sum(w.Name, tree(all, w.PIDs), seconds)
	}
	if p, ok := all[m.own]; ok {
		usage[generatorName] = m.sum(generatorName, []process{p}, seconds)
	}
	for pid := range m.before {
		if _, ok := all[pid]; !ok {
			delete(m.before, pid)
		}
	}
	busy, total := machineSeconds()
	part := 0.0
	if total > m.machine[1] {
		part = (busy - m.machine[0]) / (total - m.machine[1])
	}
	m.machine = [2]float64{busy, total}
	return usage, part
}

func (m *meter) sum(name string, group []process, seconds float64) Usage {
	var u Usage
	for _, p := range group {
		if before, ok := m.before[p.pid]; ok {
			u.Cores += max(0, p.cpu-before)
		} else {
			u.Cores += p.cpu // new since the last reading
		}
		m.before[p.pid] = p.cpu
		u.Memory += float64(p.memory) / (1 << 20)
	}
	m.cpu[name] += u.Cores
	u.Cores /= seconds
	return u
}

// tree returns the processes and all that descend from them.
func tree(all map[int]process, roots []int) []process {
	wanted := map[int]bool{}
	for _, pid := range roots {
		wanted[pid] = true
	}
	var out []process
	for _, p := range all {
		for up := p; ; {
			if wanted[up.pid] {
				out = append(out, p)
				break
			}
			next, ok := all[up.parent]
			if !ok || up.parent == up.pid {
				break
			}
			up = next
		}
	}
	return out
}

// machineSeconds returns the processor seconds of the machine since its start,
// busy ones and all.
func machineSeconds() (busy, total float64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseFloat(field, 64)
		if i == 0 || i > 8 || err != nil { // a guest's time is in its host's already
			continue
		}
		total += n / ticksPerSecond
		if i != 4 && i != 5 { // neither idle nor waiting for a disk
			busy += n / ticksPerSecond
		}
	}
	return busy, total
}
