package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A decision is what a limit by key knows of a call before it is made. LimitBy and Quota share it.
type decision struct {
	Grant
	fields *limitFields // nil if clients are told nothing
	known  bool         // else the limit could not be asked, and the call passes
	never  bool         // the call costs more than there ever is
	shared bool         // the count is that of other keys too
}

// refusal returns why the call is refused, or nil.
func (d *decision) refusal(ctx context.Context, op string) error {
	if d.OK || !d.known {
		return nil
	}
	why := ""
	if d.shared {
		why = "all buckets are in use, and this one is shared"
	}
	pipe.Note(ctx, "limited", why)
	h := http.Header{}
	if d.After > 0 && !d.never {
		h["Retry-After"] = []string{seconds(d.After)}
	}
	if d.fields != nil {
		h[rateLimitPolicy], h[rateLimit] = []string{d.fields.policy}, []string{d.fields.state(d.Grant)}
	}
	return &proxy.Error{Status: http.StatusTooManyRequests, Op: op, Err: ErrLimited, Header: h}
}

// answered sets the fields of an answer; see limitFields.set.
func (d *decision) answered(res *proxy.Response, err error, join bool) (*proxy.Response, error) {
	if d.fields != nil && d.known && err == nil && res != nil {
		d.fields.set(res, d.Grant, join)
	}
	return res, err
}

// ask has code that counts elsewhere decide, and returns why the call is refused. If open is true, a
// call that cannot be decided on passes.
func (d *decision) ask(ctx context.Context, op string, open bool, take func() (Grant, error)) error {
	g, err := recovered(take)
	switch {
	case ctx.Err() != nil:
		return &proxy.Error{Op: op, Err: ctx.Err()}
	case err == nil:
		d.Grant, d.known = g, true
		return d.refusal(ctx, op)
	}
	failure := &proxy.Error{Status: http.StatusServiceUnavailable, Op: op, Err: fmt.Errorf("%w: %w", ErrLimitStore, err)}
	if open {
		call.Report(ctx, failure)
		return nil
	}
	pipe.Note(ctx, "limited", ErrLimitStore.Error())
	return failure
}

// recovered calls a function. A panic is its error.
func recovered(take func() (Grant, error)) (g Grant, err error) {
	returned := false
	defer func() {
		if !returned {
			err = call.PanicOf(recover())
		}
	}()
	g, err = take()
	returned = true
	return g, call.Sound(err)
}

// tiersBy adds to a step what is known of the function that chooses tiers, and returns the note of it.
func tiersBy(step *pipe.Step, tier func(*proxy.Caller) string) string {
	step.Effects |= pipe.ReadsCaller | pipe.Opaque // the user's code may wait although it must not
	return "tiers by " + pipe.FuncName(tier)
}

// countsIn adds to a step what is known of the place where a limit counts, which is memory if store is
// nil, and returns the notes of it. what names what is counted.
func countsIn(step *pipe.Step, what string, store any, open bool, maxKeys int) []string {
	switch {
	case store == nil && maxKeys < 0:
		return []string{"any number of keys"}
	case store == nil:
		return []string{fmt.Sprintf("%d keys", maxKeys)}
	}
	if w, ok := store.(interface{ Waits() time.Duration }); ok && mark.On(store) {
		step.Waits = w.Waits()
	} else {
		step.Effects |= pipe.Opaque // the user's code may wait although it must not
	}
	notes := []string{what + " elsewhere"}
	if open {
		notes = append(notes, "open")
	}
	return notes
}

// placed returns what the faults of a part begin with.
func placed(what, name string) string {
	if name != "" {
		what += " (" + name + ")"
	}
	return what
}

// limitFaults returns what is wrong with the name and the key of a limit.
func limitFaults(where, name string, key Key) (errs []error) {
	if !isPrintable(name) {
		errs = append(errs, errors.New(where+": the Name has other than printable ASCII characters"))
	}
	switch {
	case key == nil:
		errs = append(errs, errors.New(where+": the Key is nil"))
	case kindOf(key) == keyFunc:
		errs = append(errs, pipe.PlanOf(key).Faults())
	}
	return errs
}

// tierFaults returns what is wrong with tiers, whatever they are of.
func tierFaults[T any](where string, tiers map[string]T, tier func(*proxy.Caller) string) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(tiers)) {
		if name == "" || !isPrintable(name) {
			errs = append(errs, fmt.Errorf("%s: tier %q: want a name of printable ASCII characters", where, name))
		}
	}
	switch {
	case len(tiers) > 0 && tier == nil:
		errs = append(errs, errors.New(where+": there are Tiers, and no Tier that says whose they are"))
	case len(tiers) == 0 && tier != nil:
		errs = append(errs, errors.New(where+": there is a Tier, and there are no Tiers"))
	}
	return errs
}

// storeFaults returns what is wrong with the place where a limit counts, which is not nil.
func storeFaults(where, what, name string, store any) (errs []error) {
	if name == "" {
		errs = append(errs, fmt.Errorf("%s: there are %s, and no Name for those of this limit", where, what))
	}
	switch f, ok := store.(interface{ Fault() error }); {
	case call.IsNil(store):
		errs = append(errs, fmt.Errorf("%s: the %s are a nil pointer", where, what))
	case ok:
		errs = append(errs, f.Fault())
	}
	return errs
}

// limiting returns the decorator of a limit, which decides about each call before it lets it pass.
func limiting(step pipe.Step, where string, byCaller bool, decide func(context.Context, *proxy.Request) (decision, error)) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		step, join := step, tellsOfLimits(pipe.PlanOf(next))
		if byCaller {
			step.Err = unknownCaller(where, pipe.PlanOf(next))
		}
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			d, err := decide(ctx, req)
			if err != nil {
				return nil, err
			}
			res, err := next(ctx, req)
			return d.answered(res, err, join)
		}
		return pipe.Describe(serve, step, next)
	}
}

// unknownCaller returns what is wrong with a limit by caller around a pipe that finds out who that is.
func unknownCaller(where string, next *pipe.Step) error {
	for step := range next.All() {
		if call.Finds(step) {
			return fmt.Errorf("%s: %s inside finds out who the caller is: put it outside, so that the limit knows the caller", where, call.Label(step))
		}
	}
	return nil
}

func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}
