package balance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// A Probe asks hosts whether they are well, while [Pool.Run] runs. A host whose probes fail is down
// until they succeed, and then begins with a slow start. Set URL or Func.
type Probe struct {
	// URL is what is asked with GET, by the transport of each host, as in
	// "http://items.internal/healthz". As in a call, it gives the Host header and the name for TLS.
	URL string

	// Statuses are those of a host that is well, each of 100 to 999. None is 200 to 299.
	Statuses []int

	// Func asks in place of URL: it returns why a host is not well. It may be code of yours: a panic
	// is a failure, and so is one that has not returned within Timeout.
	Func func(ctx context.Context, h Host) error

	// Interval is the time from the end of a round of probes to the next one, a tenth more or less.
	// 64 hosts are asked at a time. 0 is 10 s; negative, or less than 100 ms, is a fault.
	Interval time.Duration

	// Timeout is how long a probe may take, including 64 KiB of the body. 0 is 2 s; negative is a
	// fault.
	Timeout time.Duration

	// Failures is how many probes in a row must fail for a host to be down. 0 is 2; negative is a
	// fault.
	Failures int

	// Successes is how many must succeed in a row for it to be up again. 0 is 2; negative is a
	// fault.
	Successes int
}

const (
	defaultProbeInterval  = 10 * time.Second
	defaultProbeTimeout   = 2 * time.Second
	defaultProbeFailures  = 2
	defaultProbeSuccesses = 2
	probesAtOnce          = 64
	maxProbeBody          = 64 << 10
)

func (p Probe) withDefaults() Probe {
	p.Interval = cmp.Or(p.Interval, defaultProbeInterval)
	p.Timeout = cmp.Or(p.Timeout, defaultProbeTimeout)
	p.Failures = cmp.Or(p.Failures, defaultProbeFailures)
	p.Successes = cmp.Or(p.Successes, defaultProbeSuccesses)
	p.Statuses = slices.Clone(p.Statuses)
	return p
}

func (p Probe) fault() error {
	var errs []error
	u, err := url.Parse(p.URL)
	switch {
	case p.URL == "" && p.Func == nil:
		errs = append(errs, errors.New("the Probe has neither a URL nor a Func"))
	case p.URL != "" && p.Func != nil:
		errs = append(errs, errors.New("the Probe has both a URL and a Func"))
	case p.Func != nil:
	case err != nil:
		errs = append(errs, fmt.Errorf("the Probe has a wrong URL: %w", err))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		errs = append(errs, fmt.Errorf("the Probe has the URL %q, want http or https and a host", p.URL))
	}
	check := func(fine bool, field string, value any) {
		if !fine {
			errs = append(errs, fmt.Errorf("the %s of the Probe is %v, want more than 0", field, value))
		}
	}
	if check(p.Interval >= 0, "Interval", p.Interval); p.Interval > 0 && p.Interval < minInterval {
		errs = append(errs, fmt.Errorf("the Interval of the Probe is %v, want 100ms or more", p.Interval))
	}
	check(p.Timeout >= 0, "Timeout", p.Timeout)
	check(p.Failures >= 0, "Failures", p.Failures)
	check(p.Successes >= 0, "Successes", p.Successes)
	for _, status := range p.Statuses {
		if status < 100 || status > 999 {
			errs = append(errs, fmt.Errorf("the Probe has the status %d, want 100 to 999", status))
		}
	}
	return errors.Join(errs...)
}

// String returns what is asked and how often, as a plan shows it.
func (p *Probe) String() string {
	what := "a func"
	if u, err := url.Parse(p.URL); err == nil && p.Func == nil {
		what = u.EscapedPath()
		if what == "" {
			what = "/"
		}
	}
	return fmt.Sprintf("probes %s every %v", what, p.Interval)
}

// probing probes the hosts until ctx ends.
func (p *Pool) probing(ctx context.Context) {
	for {
		p.probeAll(ctx)
		timer := time.NewTimer(jittered(p.spec.Probe.Interval))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (p *Pool) probeAll(ctx context.Context) {
	p.mu.Lock()
	members := slices.Clone(p.members)
	p.mu.Unlock()
	slots := make(chan struct{}, probesAtOnce)
	var all sync.WaitGroup
	defer all.Wait()
	for _, m := range members {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		all.Go(func() {
			defer func() { <-slots }()
			err := p.probe(ctx, m)
			if ctx.Err() == nil {
				p.probed(ctx, m, err)
			}
		})
	}
}

// probe returns why a host is not well.
func (p *Pool) probe(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeout(ctx, p.spec.Probe.Timeout)
	defer cancel()
	_, err := call.Guard(ctx, m.probing, nil, func() (struct{}, error) {
		if f := p.spec.Probe.Func; f != nil {
			return struct{}{}, f(ctx, m.shownHost())
		}
		return struct{}{}, p.get(ctx, m)
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", p.spec.Probe.Timeout)
	}
	return err
}

func (p *Pool) get(ctx context.Context, m *member) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.spec.Probe.URL, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "sluice-probe")
	defer m.rest()
	resp, err := m.transport.RoundTripContext(ctx, req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxProbeBody))
	err = errors.Join(err, resp.Body.Close())
	if !p.spec.Probe.isWell(resp.StatusCode) {
		return fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return err
}

func (p *Probe) isWell(status int) bool {
	if len(p.Statuses) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(p.Statuses, status)
}

// shownHost returns the host as it is now.
func (m *member) shownHost() Host {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	return m.host
}

// probed takes the result of a probe.
func (p *Pool) probed(ctx context.Context, m *member, err error) {
	now := p.now()
	why := fmt.Sprintf("probe: %v", err) // outside of the lock: it may be an error of a user
	p.mu.Lock()
	switch {
	case (err == nil) == (m.down == ""):
		m.probed = 0
	case err != nil:
		if m.probed++; m.probed >= p.spec.Probe.Failures {
			m.probed, m.down = 0, why
			p.rebuild(now)
		}
	default:
		if m.probed++; m.probed >= p.spec.Probe.Successes {
			m.probed, m.down = 0, ""
			if m.ejected == 0 { // else it is back when that is over
				m.back(now)
			}
			p.rebuild(now)
		}
	}
	p.mu.Unlock()
	p.tell(ctx)
}
