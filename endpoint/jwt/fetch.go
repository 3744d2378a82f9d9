package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
)

const (
	maxSet       = 256 << 10        // bytes of a key set
	askInterval  = 10 * time.Second // between the fetches that tokens ask for
	firstBackoff = time.Second      // after a fetch that has failed
	maxBackoff   = 30 * time.Second
	graceTime    = 100 * time.Millisecond // for a transport to return once its context has ended
	maxLeft      = 8                      // fetches that may go on although their time is over
)

// A flight is one fetch, and all who wait for it.
type flight struct{ done chan struct{} }

// Run keeps the keys fresh until ctx ends, and then returns the error of ctx. Afterwards the keys stay
// valid for as long as Keep says. Without Run there are no keys, unless they are static.
//
// A second Run at the same time is an error, and so are keys with a [Keys.Fault].
func (k *Keys) Run(ctx context.Context) error {
	if err := k.Fault(); err != nil {
		return err
	}
	if k.static {
		<-ctx.Done()
		return ctx.Err()
	}
	wake, err := k.start()
	if err != nil {
		return err
	}
	defer k.stop()
	transport := k.Transport
	if transport == nil {
		own := backend.NewTransport()
		defer own.CloseIdleConnections()
		transport = own
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	timer := time.NewTimer(0)
	defer timer.Stop()
	backoff := firstBackoff
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-wake:
		}
		wait := k.refresh()
		if k.renew(ctx, client) {
			backoff = firstBackoff
		} else {
			wait, backoff = min(backoff, wait), min(2*backoff, maxBackoff)
		}
		timer.Reset(wait)
	}
}

// start says that Run runs, and that its first fetch is under way.
func (k *Keys) start() (wake chan struct{}, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running {
		return nil, errors.New("jwt: Keys: Run is running already")
	}
	k.running, k.wake, k.flight = true, make(chan struct{}, 1), &flight{done: make(chan struct{})}
	return k.wake, nil
}

// stop lets go who waits for a fetch.
func (k *Keys) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running, k.wake = false, nil
	k.land()
}

// land ends the flight. The caller holds k.mu.
func (k *Keys) land() {
	if k.flight != nil {
		close(k.flight.done)
		k.flight = nil
	}
}

var errLate = errors.New("the keys did not come in time")

// ask waits for the fetch that is under way, or for a new one if a token may ask for that. The error
// is that of ctx, or errLate shortly before its deadline.
func (k *Keys) ask(ctx context.Context) error {
	f := k.join()
	if f == nil {
		return nil
	}
	var late <-chan time.Time
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		timer := time.NewTimer(left - left/10)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-f.done:
		return nil
	case <-late:
		return errLate
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join returns the fetch to wait for, or nil if there is none now.
func (k *Keys) join() *flight {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight != nil || !k.running || !k.asked.IsZero() && time.Since(k.asked) < askInterval {
		return k.flight
	}
	k.asked, k.flight = time.Now(), &flight{done: make(chan struct{})}
	select {
	case k.wake <- struct{}{}:
	default: // Run has yet to hear of an earlier one
	}
	return k.flight
}

// renew fetches the set, and reports whether that has succeeded.
func (k *Keys) renew(ctx context.Context, client *http.Client) bool {
	k.depart()
	text, err := k.fetch(ctx, client)
	var keys []*key
	if err == nil {
		keys, err = published(text)
	}
	if err != nil {
		err = fmt.Errorf("jwt: %s: %w", k.where(), err)
	}
	k.arrive(keys, err)
	if err != nil && ctx.Err() == nil {
		k.tell(err)
	}
	return err == nil
}

// depart says that a fetch is under way, for all who ask from now on.
func (k *Keys) depart() {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.wake: // this is the fetch that was asked for
	default:
	}
	if k.flight == nil {
		k.flight = &flight{done: make(chan struct{})}
	}
}

// arrive takes what the fetch has brought, and lets go who waits for it.
func (k *Keys) arrive(keys []*key, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err = err; err == nil {
		set := newKeySet(keys)
		set.at = time.Now()
		k.set.Store(set.after(k.set.Load()))
	}
	k.land()
}

// published returns the keys of a set that anybody can read: public ones.
func published(text []byte) ([]*key, error) {
	all, err := parseSet(text)
	if err != nil {
		return nil, err
	}
	var keys []*key
	for _, k := range all {
		if !k.secret {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("there are only secrets, which anybody can read")
	}
	return keys, nil
}

// tell calls the hook.
func (k *Keys) tell(err error) {
	if k.OnError == nil {
		return
	}
	defer func() { _ = recover() }()
	k.OnError(err)
}

// A fetched is what a fetch brings.
type fetched struct {
	text []byte
	err  error
}

var errExit = errors.New("runtime.Goexit was called")

// fetch fetches the text of the set. It returns soon after its time is over even if the transport,
// which may be code of a user, does not.
func (k *Keys) fetch(ctx context.Context, client *http.Client) ([]byte, error) {
	k.mu.Lock()
	if k.left >= maxLeft {
		k.mu.Unlock()
		return nil, fmt.Errorf("the transport has not returned from %d fetches", maxLeft)
	}
	k.left++
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, k.timeout())
	defer cancel()
	done := make(chan fetched, 1)
	go func() {
		got := fetched{err: errExit}
		defer func() {
			if v := recover(); v != nil {
				got = fetched{err: pipe.NewPanicError(fmt.Sprint(v))}
			}
			k.mu.Lock()
			k.left--
			k.mu.Unlock()
			done <- got
		}()
		got = get(ctx, client, k.URL)
	}()
	select {
	case got := <-done:
		return got.text, got.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(graceTime)
	defer grace.Stop()
	select {
	case got := <-done:
		return got.text, got.err
	case <-grace.C:
		return nil, ctx.Err()
	}
}

func get(ctx context.Context, client *http.Client, from string) fetched {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return fetched{err: errors.New("no request can be made for the URL")}
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := client.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL, in which there may be secrets
	}
	if err != nil {
		return fetched{err: err}
	}
	defer res.Body.Close() // of a body that is too long, net/http closes the connection
	if res.StatusCode != http.StatusOK {
		return fetched{err: fmt.Errorf("status %d", res.StatusCode)}
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxSet+1))
	if err == nil && len(text) > maxSet {
		err = fmt.Errorf("the set has more than %d bytes", maxSet)
	}
	return fetched{text: text, err: err}
}
