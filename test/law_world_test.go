package test_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// lawDeaf is longer than any deadline of a random pipe.
const lawDeaf = 2 * time.Second

// A lawWorld is what the users' functions of one random pipe share: how they behave, and a diary.
// What a function does depends on the salt, its name, the keys of the calls of an Each around it,
// and how often it was called with these. Every pause has a length of its own. So in fake time no
// two things happen at once, and each run with a salt is like the other.
type lawWorld struct {
	mu    sync.Mutex // guards the fields below
	salt  uint64
	began time.Time
	odds  int // a function fails in about one of so many calls
	calls map[string]int
	diary []diaryLine
	over  bool // the call has returned, and the diary is closed
}

// A diaryLine says that a function acts or, if passed is set, that it lets the request through.
type diaryLine struct {
	name   string
	passed bool
}

// reset begins a run.
func (w *lawWorld) reset(salt uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.salt, w.began, w.calls, w.diary, w.over = salt, time.Now(), map[string]int{}, nil, false
	w.odds = [...]int{18, 40, 100, 1000}[salt%4]
}

// closed closes the diary and returns it.
func (w *lawWorld) closed() []diaryLine {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	return w.diary
}

func (w *lawWorld) write(line diaryLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.diary = append(w.diary, line)
	}
}

// acts writes that a function acts, unless its call may have been abandoned: then its context has
// ended. The context is nil where the function gets none.
func (w *lawWorld) acts(ctx context.Context, name string) {
	if ctx == nil || ctx.Err() == nil {
		w.write(diaryLine{name: name})
	}
}

// passed writes that a function lets the request through.
func (w *lawWorld) passed(name string) { w.write(diaryLine{name, true}) }

// A lawDice decides what one call of a function does.
type lawDice struct {
	*rand.Rand
	odds int
}

// of returns the dice for a call of the function with that name.
func (w *lawWorld) of(name, keys string) lawDice {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := name + "/" + keys
	w.calls[id]++
	return w.dice(id, uint64(w.calls[id]))
}

// now returns the dice of a function that is told nothing of its call: they depend on the time.
func (w *lawWorld) now(name string) lawDice {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dice(name, uint64(time.Since(w.began)))
}

func (w *lawWorld) dice(id string, n uint64) lawDice {
	h := fnv.New64a()
	_, _ = io.WriteString(h, id)
	return lawDice{rand.New(rand.NewPCG(w.salt^h.Sum64(), n)), w.odds}
}

// fails reports whether one of n kinds of failures is due, and which.
func (d lawDice) fails(n int) (kind int, fails bool) {
	kind = d.IntN(n * d.odds / 4)
	return kind, kind < n
}

// pause waits, at most until ctx ends. Whoever notices the end of a context takes a moment of its
// own, or it would be left to chance whether its caller has noticed the end before.
func (d lawDice) pause(ctx context.Context) error {
	after := time.After(100*time.Microsecond + time.Duration(d.Int64N(int64(12*time.Millisecond))))
	if ctx == nil {
		<-after
		return nil
	}
	select {
	case <-after:
	case <-ctx.Done():
	}
	return d.settle(ctx)
}

// settle takes a moment if ctx has ended.
func (d lawDice) settle(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	<-time.After(time.Duration(1 + d.Int64N(int64(50*time.Microsecond))))
	return ctx.Err()
}

func (d lawDice) deaf() { <-time.After(lawDeaf + time.Duration(d.Int64N(int64(time.Second)))) }

var errLaw = errors.New("a function fails")

// upset is what any function may do instead of its work.
func (d lawDice) upset(ctx context.Context, name string) error {
	kind, fails := d.fails(4)
	if !fails {
		return nil
	}
	if err := d.pause(ctx); err != nil {
		return err
	}
	switch kind {
	case 0:
		return fmt.Errorf("%s: %w", name, errLaw)
	case 1:
		panic(name)
	case 2:
		runtime.Goexit()
	default:
		d.deaf()
	}
	return nil
}

type lawKeys struct{}

// keysOf returns the keys of all calls of an Each around a function.
func keysOf(ctx context.Context) string {
	keys, _ := ctx.Value(lawKeys{}).(string)
	return keys
}

// keysIn returns them from a request.
func keysIn(req *proxy.Request) string {
	var keys []string
	for _, name := range req.Params.Names() {
		keys = append(keys, name+"="+req.Params.Get(name))
	}
	return strings.Join(keys, ",")
}

// keyed is a decorator around what an Each calls: it hands the keys on.
func keyed(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		return next(context.WithValue(ctx, lawKeys{}, keysIn(req)), req)
	}
}

// A lawLeaf is the function of a leaf. An honest one returns when its context ends.
type lawLeaf struct {
	world  *lawWorld
	name   string
	honest bool
}

func (l *lawLeaf) call(ctx context.Context, _ *proxy.Request) (res *proxy.Response, err error) {
	l.world.acts(ctx, l.name)
	d := l.world.of(l.name, keysOf(ctx))
	defer func() {
		if res != nil && err == nil {
			l.world.passed(l.name)
		}
	}()
	kinds := 17
	if l.honest {
		kinds = 13
	}
	kind, fails := d.fails(kinds)
	if !fails {
		kind = -1
	}
	if kind == 11 {
		<-ctx.Done()
		return nil, cmp.Or(d.settle(ctx), errLaw)
	}
	if err := d.pause(ctx); err != nil {
		return nil, err
	}
	switch kind {
	case 0:
		res := l.answer(`{"id":7}`)
		res.Err = fmt.Errorf("%s: something is missing", l.name)
		return res, nil
	case 1:
		return &proxy.Response{Status: http.StatusNoContent, Header: http.Header{}}, nil
	case 2:
		return l.answer(`["k","l"]`), nil
	case 3:
		return l.stream(http.StatusOK), nil
	case 4:
		return l.stream(http.StatusServiceUnavailable), nil
	case 5, 6:
		return nil, &proxy.Error{Status: http.StatusServiceUnavailable, Backend: l.name}
	case 7:
		return nil, &proxy.Error{Status: http.StatusNotFound, Backend: l.name, Upstream: &proxy.UpstreamAnswer{Status: http.StatusNotFound}}
	case 8:
		return nil, fmt.Errorf("%s: %w", l.name, io.ErrUnexpectedEOF)
	case 9:
		panic(l.name)
	case 10:
		runtime.Goexit()
	case 12:
		return nil, nil
	case 13:
		d.deaf()
		panic(l.name)
	case 14:
		d.deaf()
		return nil, errLaw
	case 15, 16:
		d.deaf()
	}
	return l.answer(fmt.Sprintf(`{"id":7,%q:%d}`, l.name, d.IntN(100))), nil
}

func (l *lawLeaf) answer(text string) *proxy.Response {
	return &proxy.Response{Status: http.StatusOK, Header: http.Header{"X-Leaf": {l.name}}, Document: document.MustParse(text)}
}

func (l *lawLeaf) stream(status int) *proxy.Response {
	return &proxy.Response{Status: status, Header: http.Header{"X-Leaf": {l.name}}, Body: io.NopCloser(strings.NewReader(l.name))}
}
