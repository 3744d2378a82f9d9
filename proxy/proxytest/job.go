package proxytest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// A job is one call of a service.
type job struct {
	service  *Service
	caller   context.Context
	start    time.Time
	deadline time.Time     // of the caller; zero if it is not known
	crashed  chan struct{} // closed when the service crashes
	faults   Faults        // when the call arrived
	rng      *rand.Rand
	luck     float64 // less than Errors fails
}

var (
	errCrashed = errors.New("the service has crashed")
	errTooMany = errors.New("the queue is full")
)

// begin begins a call. It returns nil if the service has crashed.
func (s *Service) begin(caller context.Context) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.Crash {
		return nil
	}
	s.stats.Calls++
	s.stats.Running++
	s.stats.Most = max(s.stats.Most, s.stats.Running)
	rng := rand.New(rand.NewPCG(s.spec.Seed, uint64(s.stats.Calls)))
	return &job{service: s, caller: caller, start: time.Now(), crashed: s.crashed, faults: s.faults, rng: rng, luck: rng.Float64()}
}

// end counts what became of the call.
func (j *job) end(err error) {
	s := j.service
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Running--
	switch {
	case err == errCrashed:
		s.stats.Broken++
	case err != nil || j.caller.Err() != nil:
		s.stats.Abandoned++
	default:
		s.stats.Answered++
	}
	if !j.deadline.IsZero() && time.Now().After(j.deadline) {
		s.stats.Late++
	}
}

// reply returns what the caller gets, or why it gets nothing.
func (j *job) reply() (Reply, error) {
	if !j.service.spec.Deaf {
		return j.run(j.caller)
	}
	var r Reply
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r, err = j.run(context.WithoutCancel(j.caller))
	}()
	select {
	case <-ended:
		return r, err
	case <-j.caller.Done():
		return Reply{}, j.caller.Err()
	}
}

func (j *job) run(ctx context.Context) (Reply, error) {
	r, err := j.answer(ctx)
	j.end(err)
	if err == errCrashed {
		err = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	return r, err
}

// answer works on the call.
func (j *job) answer(ctx context.Context) (Reply, error) {
	alive := func(f Faults) bool { return !f.Dead }
	if err := j.until(ctx, alive); err != nil {
		return Reply{}, err
	}
	r, err := j.work(ctx)
	if err != nil {
		return Reply{}, err
	}
	if err := j.until(ctx, alive); err != nil {
		return Reply{}, err
	}
	if j.service.Faults().Cut {
		r = r.CutAfter(len(r.body)/2, nil)
	}
	return r, nil
}

// work returns an error of the Faults at once, and otherwise has a worker answer.
func (j *job) work(ctx context.Context) (Reply, error) {
	if j.luck < j.faults.Errors {
		status := j.faults.Status
		if status == 0 {
			status = http.StatusServiceUnavailable
		}
		return Answer(status, ""), j.pause(ctx, j.faults.Latency)
	}
	switch err := j.take(ctx); {
	case err == errTooMany:
		return Answer(http.StatusServiceUnavailable, ""), nil
	case err != nil:
		return Reply{}, err
	}
	defer j.service.give()
	took := j.faults.Latency
	if l := j.service.spec.Latency; l != nil {
		took += max(l(j.rng), 0)
	}
	if err := j.pause(ctx, took); err != nil {
		return Reply{}, err
	}
	return j.service.spec.Reply, j.until(ctx, func(f Faults) bool { return !f.Hang })
}

// pause waits for d.
func (j *job) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-j.crashed:
		return errCrashed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until waits until the faults are as they should be.
func (j *job) until(ctx context.Context, fine func(Faults) bool) error {
	for {
		j.service.mu.Lock()
		faults, changed := j.service.faults, j.service.changed
		j.service.mu.Unlock()
		if fine(faults) {
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-j.crashed:
			return errCrashed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take waits for a worker. It returns errTooMany if too many calls wait already.
func (j *job) take(ctx context.Context) error {
	s := j.service
	s.mu.Lock()
	if len(s.queue) == 0 && s.idle() {
		s.busy++
		s.mu.Unlock()
		return nil
	}
	if s.spec.Queue > 0 && len(s.queue) >= s.spec.Queue {
		s.stats.Refused++
		s.mu.Unlock()
		return errTooMany
	}
	turn := make(chan struct{})
	s.queue = append(s.queue, turn)
	s.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-j.crashed:
		s.quit(turn)
		return errCrashed
	case <-ctx.Done():
		s.quit(turn)
		return ctx.Err()
	}
}

// idle reports whether a worker is free. The caller holds s.mu.
func (s *Service) idle() bool {
	workers := s.spec.Workers
	if s.faults.Workers > 0 {
		workers = s.faults.Workers
	}
	return workers < 0 || s.busy < workers
}

// quit leaves the queue, or gives the worker back if it was the caller's turn.
func (s *Service) quit(turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.queue, turn); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
		return
	}
	s.busy--
	s.wake()
}

// give gives a worker back.
func (s *Service) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.wake()
}

// wake gives the free workers to those that wait. The caller holds s.mu.
func (s *Service) wake() {
	for len(s.queue) > 0 && s.idle() {
		close(s.queue[0])
		s.queue = s.queue[1:]
		s.busy++
	}
}
