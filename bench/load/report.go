package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// report writes the table, below what it was measured on.
func report(l *lab, results []result) string {
	var b strings.Builder
	generator := "the generator of this program"
	if l.wrk {
		generator = "wrk"
	}
	fmt.Fprintf(&b, "%s, %d processors, GOMAXPROCS %d, %s, %s, %s. %d connections from %s, %d rounds of %s.\n",
		processor(), runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.Version(), environment("GOGC", "GOMEMLIMIT"),
		time.Now().Format(time.DateOnly), l.connections, generator, l.rounds, l.time)
	fmt.Fprintf(&b, "The transport of the backends is %s.\n\n", l.transport)
	b.WriteString("| what | sluice | peer | ratio | spread | bar | reached |\n|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		b.WriteString(r.line())
	}
	return b.String()
}

func (r result) line() string {
	if r.skipped != "" {
		return fmt.Sprintf("| %s | %s | | | | %s | not measured |\n", r.name, r.skipped, r.row.bar)
	}
	name, m := r.name, r.row.method
	if r.note != "" {
		name += " (" + r.note + ")"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |\n", name, m.text(r.figure), m.text(r.peer),
		number(r.ratio.median), r.ratio, r.row.bar, r.reached())
}

var modelName = regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`)

// processor returns the model of the processor.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	if m := modelName.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return runtime.GOARCH
}

// environment says which of the variables are set, as the processes inherit them.
func environment(names ...string) string {
	var parts []string
	for _, name := range names {
		value := os.Getenv(name)
		if value == "" {
			value = "default"
		}
		parts = append(parts, name+" "+value)
	}
	return strings.Join(parts, ", ")
}
