package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if played, err := play(ctx); played {
		exit(err)
	}
	exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func exit(err error) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Options say how much is measured.
type options struct {
	rounds      int
	time        time.Duration // of a round
	warmup      time.Duration
	connections int
	idle        int   // connections of clients
	idleUp      int   // connections to upstreams
	bytes       int64 // of a stream
	generator   string
	transport   string
	profile     string
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(progress)
	rows := flags.String("rows", "", "a regular expression that the names of the rows match; empty for all")
	list := flags.Bool("list", false, "print the names of the rows and their bars")
	flags.IntVar(&o.rounds, "rounds", 7, "rounds of each side")
	flags.DurationVar(&o.time, "time", 3*time.Second, "length of a round; wrk takes whole seconds")
	flags.DurationVar(&o.warmup, "warmup", time.Second, "load on each side before the first round")
	flags.IntVar(&o.connections, "connections", 32, "connections of the generator")
	flags.IntVar(&o.idle, "idle", 10_000, "idle connections of clients")
	flags.IntVar(&o.idleUp, "idle-upstream", 1000, "idle connections to upstreams")
	flags.Int64Var(&o.bytes, "bytes", 1<<30, "length of a stream")
	flags.StringVar(&o.generator, "generator", "auto", "wrk, own, or auto: wrk where it is installed")
	flags.StringVar(&o.transport, "transport", transports[0], fmt.Sprintf("of the gateway's backends: one of %q", transports))
	flags.StringVar(&o.profile, "profile", "", "a directory for profiles of the gateway, taken in a round of their own")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.rounds < 1 || o.connections < 1 {
		return errors.New("there must be a round and a connection")
	}
	if !slices.Contains(transports, o.transport) {
		return fmt.Errorf("there is no transport %q", o.transport)
	}
	wanted, err := regexp.Compile(*rows)
	if err != nil {
		return err
	}
	if *list {
		for _, r := range table {
			fmt.Fprintf(out, "%-45s %s\n", r.name, r.bar)
		}
		return nil
	}
	return o.measure(ctx, wanted, out, progress)
}

// measure measures the rows whose names match, and prints the table.
func (o options) measure(ctx context.Context, wanted *regexp.Regexp, out, progress io.Writer) error {
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	var results []result
	for _, r := range table {
		if !wanted.MatchString(r.name) {
			continue
		}
		fmt.Fprintf(progress, "%s %s\n", time.Now().Format(time.TimeOnly), r.name)
		of, err := l.row(ctx, r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		results = append(results, of...)
		for _, one := range of {
			fmt.Fprintf(progress, "         %s\n", one)
		}
	}
	_, err = io.WriteString(out, report(l, results))
	return err
}
