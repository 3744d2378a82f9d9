package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of processor times in /proc, which is the same on all but a few old machines.
const tick = time.Second / 100

// processorTime returns the user and system time of a process and of its descendants.
func processorTime(pid int) (time.Duration, error) {
	family, err := familyOf(pid)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, s := range family {
		sum += s.used
	}
	return sum, nil
}

// residentBytes returns the resident memory of a process and of its descendants.
func residentBytes(pid int) (int64, error) {
	family, err := familyOf(pid)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, s := range family {
		sum += s.resident
	}
	return sum, nil
}

// A stat is what /proc/PID/stat says; see proc_pid_stat(5).
type stat struct {
	pid, parent int
	used        time.Duration
	resident    int64
}

// familyOf returns the process and its descendants.
func familyOf(pid int) ([]stat, error) {
	root, err := statOf(strconv.Itoa(pid))
	if err != nil {
		return nil, fmt.Errorf("/proc does not tell what process %d used: %w", pid, err)
	}
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]stat{}
	for _, p := range paths {
		if s, err := statOf(filepath.Base(p)); err == nil { // others may end meanwhile
			children[s.parent] = append(children[s.parent], s)
		}
	}
	family := []stat{root}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i].pid]...)
	}
	return family, nil
}

func statOf(pid string) (s stat, err error) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return s, err
	}
	return parseStat(text)
}

func parseStat(text []byte) (s stat, err error) {
	const parent, user, system, resident = 1, 11, 12, 21 // counted behind the name, which may hold anything
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return s, errors.New("stat: no name")
	}
	fields := bytes.Fields(text[end+1:])
	if len(fields) <= resident {
		return s, errors.New("stat: too few fields")
	}
	number := func(b []byte) int64 {
		n, failed := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
		err = errors.Join(err, failed)
		return n
	}
	s = stat{
		pid: int(number(text[:open])), parent: int(number(fields[parent])),
		used:     time.Duration(number(fields[user])+number(fields[system])) * tick,
		resident: number(fields[resident]) * int64(os.Getpagesize()),
	}
	return s, err
}
