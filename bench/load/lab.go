package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A lab measures rows over one upstream.
type lab struct {
	options
	upstream *process
	wrk      bool
	nginx    bool
}

func newLab(ctx context.Context, o options) (*lab, error) {
	if _, err := statOf("self"); err != nil {
		return nil, fmt.Errorf("this needs Linux, where /proc tells what a process used: %w", err)
	}
	if !slices.Contains([]string{"auto", "wrk", "own"}, o.generator) {
		return nil, fmt.Errorf("there is no generator %q", o.generator)
	}
	_, missing := exec.LookPath("wrk")
	if o.generator == "wrk" && missing != nil {
		return nil, missing
	}
	l := &lab{options: o, wrk: o.generator != "own" && missing == nil, nginx: nginxPath() != ""}
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o755); err != nil {
			return nil, err
		}
	}
	upstream, err := start(ctx, role{Kind: "upstream"})
	l.upstream = upstream
	return l, err
}

func (l *lab) close() error { return l.upstream.stop() }

// own runs the generator of this program as a process.
func (l *lab) own(ctx context.Context, with load) (t tally, err error) {
	cmd, err := command(ctx, role{Kind: "generator", Load: with})
	if err != nil {
		return t, err
	}
	in, err := cmd.StdinPipe() // it ends with this process
	if err != nil {
		return t, err
	}
	defer in.Close()
	out, err := cmd.Output()
	if err != nil {
		return t, fmt.Errorf("generator: %w", err)
	}
	return t, json.Unmarshal(out, &t)
}

// generate runs the generator that was chosen.
func (l *lab) generate(ctx context.Context, with load) (tally, error) {
	if l.wrk {
		return with.wrk(ctx)
	}
	return l.own(ctx, with)
}

// A trial is the measurement of a row.
type trial struct {
	*lab
	row   row
	sides []*side
	rate  float64 // of a schedule
	note  string
}

// A side is the gateway, its peer or nginx.
type side struct {
	role    role
	process *process
	length  int64 // of its answer
	load    load
	samples []sample
}

// row measures one row. The result of nginx, if there is one, comes last.
func (l *lab) row(ctx context.Context, r row) (results []result, err error) {
	t := &trial{lab: l, row: r}
	if files := r.method.files; files != nil {
		if err := allowFiles(files(l.options)); err != nil {
			return []result{{row: r, name: r.name, skipped: err.Error()}}, nil
		}
	}
	for _, kind := range []string{"gateway", "peer", "nginx"} {
		if kind == "nginx" && !(r.nginx && l.nginx) {
			continue
		}
		t.sides = append(t.sides, &side{role: role{Kind: kind, Row: r.name, Upstream: "http://" + l.upstream.Addr, Transport: l.transport}})
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	rounds := l.rounds
	if r.method.rounds > 0 {
		rounds = min(rounds, r.method.rounds)
	}
	order := slices.Clone(t.sides)
	for range rounds {
		for _, s := range order {
			if err := t.round(ctx, s); err != nil {
				return nil, fmt.Errorf("%s: %w", s.role.Kind, err)
			}
		}
		slices.Reverse(order)
	}
	if l.profile != "" && !r.method.fresh {
		if err := t.takeProfile(ctx, t.sides[0]); err != nil {
			return nil, err
		}
	}
	return t.results(), nil
}

// prepare starts all sides, compares their answers and warms them up.
func (t *trial) prepare(ctx context.Context) error {
	var answers []answer
	for _, s := range t.sides {
		if err := s.start(ctx); err != nil {
			return err
		}
		a, err := t.probe(ctx, s)
		if err != nil {
			return err
		}
		answers = append(answers, a)
		s.length = int64(len(a.body))
		if err := t.row.same(answers[0], a); err != nil {
			return fmt.Errorf("%s: %w", s.role.Kind, err)
		}
	}
	for _, s := range t.sides {
		if err := t.plan(ctx, s); err != nil {
			return err
		}
		if t.row.method.fresh || t.warmup == 0 {
			continue
		}
		warm := s.load
		warm.Time = t.warmup
		if _, err := t.own(ctx, warm); err != nil {
			return fmt.Errorf("%s: %w", s.role.Kind, err)
		}
	}
	if t.row.method.fresh {
		return t.stop()
	}
	return nil
}

// plan decides what a side is sent.
func (t *trial) plan(ctx context.Context, s *side) (err error) {
	s.load = load{Addr: s.process.Addr, Target: t.row.target, Length: s.length, Connections: t.connections, Time: t.time}
	if f := t.row.method.load; f != nil {
		s.load, err = f(ctx, t, s.process, s.load)
	}
	return err
}

// probe gets the answer of a side.
func (t *trial) probe(ctx context.Context, s *side) (a answer, err error) {
	method, body := http.MethodGet, []byte(nil)
	if t.row.method.upload {
		method, body = http.MethodPost, block
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.process.Addr+t.row.target, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	for _, h := range requestHeader {
		req.Header.Set(h.name, h.value)
	}
	return fetch(req)
}

// round takes a sample of one side, or fails if that does not come to an end.
func (t *trial) round(ctx context.Context, s *side) error {
	ctx, cancel := context.WithTimeout(ctx, t.time+2*time.Minute)
	defer cancel()
	if t.row.method.fresh {
		if err := s.start(ctx); err != nil {
			return err
		}
		s.load.Addr = s.process.Addr
	}
	one, err := t.row.method.round(ctx, t, s.process, s.load)
	if err != nil {
		return err
	}
	s.samples = append(s.samples, one)
	if t.row.method.fresh {
		return s.stop()
	}
	return nil
}

// takeProfile writes the profiles of a side for one more round.
func (t *trial) takeProfile(ctx context.Context, s *side) error {
	type profiled struct {
		profile []byte
		err     error
	}
	done := make(chan profiled, 1)
	go func() {
		p, err := s.process.get(ctx, fmt.Sprintf("/profile?seconds=%d", max(1, int(t.time/time.Second))))
		done <- profiled{p, err}
	}()
	_, err := t.row.method.round(ctx, t, s.process, s.load)
	cpu := <-done
	if err := errors.Join(err, cpu.err); err != nil {
		return err
	}
	allocs, err := s.process.get(ctx, "/allocs")
	if err != nil {
		return err
	}
	name := filepath.Join(t.profile, strings.NewReplacer(" ", "-", ",", "", "×", "x", "'", "").Replace(t.row.name))
	return errors.Join(os.WriteFile(name+".cpu", cpu.profile, 0o644), os.WriteFile(name+".allocs", allocs, 0o644))
}

func (t *trial) stop() (err error) {
	for _, s := range t.sides {
		err = errors.Join(err, s.stop())
	}
	return err
}

func (s *side) start(ctx context.Context) (err error) {
	s.process, err = start(ctx, s.role)
	return err
}

func (s *side) stop() error {
	if s.process == nil {
		return nil
	}
	err := s.process.stop()
	s.process = nil
	return err
}
