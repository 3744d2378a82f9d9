package main

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// wrk sends a load with the program of that name. wrk does not look at lengths, so the bytes that it
// read are compared with the answers that it counted.
func (l load) wrk(ctx context.Context) (tally, error) {
	seconds := int(math.Ceil(l.Time.Seconds()))
	args := []string{"-t", "1", "-c", strconv.Itoa(l.Connections), "-d", strconv.Itoa(seconds) + "s"}
	for _, h := range requestHeader {
		args = append(args, "-H", h.name+": "+h.value)
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, "http://"+l.Addr+l.Target)...).CombinedOutput()
	if err != nil {
		return tally{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	t, read, err := parseWrk(string(out))
	if err != nil {
		return t, err
	}
	if least := 0.98 * float64(t.Requests) * float64(l.Length); read < least {
		return t, fmt.Errorf("wrk read %.0f bytes in %d answers, want %.0f at least", read, t.Requests, least)
	}
	return t, nil
}

var (
	wrkTotal  = regexp.MustCompile(`(\d+) requests in ([\d.]+\w+), ([\d.]+)([KMG]?)B read`)
	wrkErrors = regexp.MustCompile(`(?m)^\s*(Socket errors|Non-2xx or 3xx responses):.*$`)
)

var units = map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

// parseWrk reads what wrk printed: what it counted, and the bytes that it read.
func parseWrk(out string) (t tally, read float64, err error) {
	if failed := wrkErrors.FindString(out); failed != "" {
		return t, 0, fmt.Errorf("wrk: %s", strings.TrimSpace(failed))
	}
	m := wrkTotal.FindStringSubmatch(out)
	if m == nil {
		return t, 0, fmt.Errorf("wrk printed %q", out)
	}
	if t.Requests, err = strconv.Atoi(m[1]); err != nil {
		return t, 0, err
	}
	if t.Elapsed, err = time.ParseDuration(m[2]); err != nil {
		return t, 0, err
	}
	read, err = strconv.ParseFloat(m[3], 64)
	return t, read * units[m[4]], err
}
