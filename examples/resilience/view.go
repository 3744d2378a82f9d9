package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/term"

	"github.com/sluice-go/sluice/adapter"
)

// A source is what a view shows and changes.
type source struct {
	services map[string]*service
	stats    func() Stats
	title    string
}

// newView returns a view: "tty", "lines", "off", or "" for tty on a terminal and lines elsewhere. On a
// terminal, leave is called when its user wants to.
func newView(kind string, s source, leave func(), in, out *os.File) adapter.Runner {
	terminal := term.IsTerminal(in.Fd()) && term.IsTerminal(out.Fd())
	switch {
	case kind == "off":
		return nil
	case kind != "lines" && terminal:
		return &screen{s, leave, in, out}
	case kind == "tty":
		fmt.Fprintln(out, "there is no terminal: the view is lines")
	}
	return &lines{s, out}
}

// lines is a view that writes a line each second.
type lines struct {
	source
	out io.Writer
}

// Run writes until ctx is done.
func (l *lines) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for before := l.stats(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := l.stats()
		fmt.Fprintln(l.out, line(now, before))
		before = now
	}
}

// line is what has happened since before, and how all is now.
func line(now, before Stats) string {
	hosts, breakers := []string{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(now.Hosts)) {
		hosts = append(hosts, name+" "+string(now.Hosts[name].State))
	}
	for _, name := range slices.Sorted(maps.Keys(now.Breakers)) {
		breakers = append(breakers, name+" "+string(now.Breakers[name]))
	}
	parts := []string{
		"answers " + since(now.Answers, before.Answers),
		"tries " + since(now.Tries, before.Tries),
		fmt.Sprintf("hedges %d sent %d won", now.Hedges.Sent-before.Hedges.Sent, now.Hedges.Won-before.Hedges.Won),
		"hosts " + strings.Join(hosts, ", "),
		"breakers " + orNone(strings.Join(breakers, ", ")),
		fmt.Sprintf("cache %d hits %d misses %d stale", now.Cache.Hits-before.Cache.Hits, now.Cache.Misses-before.Cache.Misses, now.Cache.Stale-before.Cache.Stale),
	}
	return strings.Join(parts, " | ")
}

// since lists by how much figures have grown, but those that have not.
func since(now, before map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if n := now[name] - before[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s:%d", name, n))
		}
	}
	return orNone(strings.Join(parts, " "))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
