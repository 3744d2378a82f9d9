package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/proxy"
)

// A decorated is a proxy whose answers are kept.
type decorated struct {
	cache    *Cache
	next     proxy.Proxy
	takes    call.Taken
	byAll    []string // the fields by which an answer varies whose upstreams are not known
	decides  []string // those by which every answer varies, because they decide which upstream is asked
	identity string   // of the proxy in the cache
	never    bool     // to be answered from the cache
	honours  bool     // next returns when its context ends
}

// call answers a request. What it does is in this order: a request that no cache may answer passes;
// [exchange.lookup] finds what is kept; an exchange that may use it does, and any other one asks next
// in [exchange.ask], perhaps together with others.
func (d *decorated) call(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "cache", Err: err}
	}
	if why := d.passes(req); why != "" {
		return d.pass(ctx, req, why)
	}
	x := exchange{decorated: d, req: req, asked: asked(req.Header), now: time.Now()}
	if x.asked.noStore && !x.asked.onlyIfCached {
		return d.pass(ctx, req, forRequest)
	}
	if err := x.lookup(ctx); err != nil { // the store has failed: as if there were no cache
		proxy.Report(ctx, err)
		if !x.asked.onlyIfCached {
			return d.pass(ctx, req, forBypass)
		}
	}
	why := x.judge()
	switch {
	case why == "":
		return x.hit(ctx)
	case x.asked.onlyIfCached:
		d.cache.counters.misses.Add(1)
		return nil, &proxy.Error{Status: http.StatusGatewayTimeout, Op: "cache", Err: ErrNotCached}
	case why == forStale && x.mayRevalidate():
		if d.cache.background.begin(ctx, &x) {
			return x.stale(ctx)
		}
	}
	return x.ask(ctx, why)
}

// passes returns why no cache may answer a request, or "".
func (d *decorated) passes(req *proxy.Request) string {
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		return forMethod
	case d.never, req.Upgrade != "", req.Body != nil && req.Body != http.NoBody:
		return forBypass
	}
	for _, name := range field.Conditions { // code of the user asks for another answer than the whole
		if len(req.Upstream[name]) > 0 {
			return forBypass
		}
	}
	return ""
}

// pass calls next without the cache.
func (d *decorated) pass(ctx context.Context, req *proxy.Request, why string) (*proxy.Response, error) {
	d.cache.counters.passed.Add(1)
	note(ctx, why)
	var target target
	unsafe := !isSafe(req.Method)
	if unsafe {
		target = targetOf(req) // before next, which may change the request
	}
	res, err := call.Checked(d.next(ctx, req))
	if err != nil {
		return nil, err
	}
	if unsafe {
		d.cache.invalidate(ctx, target, res)
	}
	if res.Upgrade == nil {
		d.cache.setStatus(res, why)
	}
	return res, nil
}

func note(ctx context.Context, what string) { watch.Note(ctx, "cache", what) }

// An exchange is a request that may be answered by the cache.
type exchange struct {
	*decorated
	req   *proxy.Request
	asked directives
	now   time.Time

	target string // key of the mark of the target
	key    string // of what is asked for
	gen    uint64 // generation of the target; 0 if there is none
	purges uint64 // generation of the mark of all tags
	local  uint64 // how often tags were purged in this process

	found    *Entry // what is kept, if anything
	foundKey string
	varies   bool // something is kept, and only for other values of fields

	behind bool // it is a call in the background, which answers nobody
}

func (x *exchange) count(n *atomic.Int64) {
	if !x.behind {
		n.Add(1)
	}
}

// lookup finds what is kept for the request.
func (x *exchange) lookup(ctx context.Context) error {
	c := x.cache
	x.target = c.targetKey(x.req.Path, queryOf(x.req.Query))
	x.key = x.answerKey(x.req)
	keys := [...]string{x.target, x.key, ""}
	var got [len(keys)]*Entry
	n := 2
	if c.spec.Tags != "" {
		keys[2], n = c.purgesKey(), 3
		x.local = c.tagPurges.Load()
	}
	if err := c.get(ctx, got[:n], keys[:n]); err != nil {
		return err
	}
	if mark := got[0]; mark != nil && mark.kind == kindMark {
		x.gen = mark.gen
	}
	if mark := got[2]; mark != nil && mark.kind == kindMark {
		x.purges = mark.gen
	}
	e := got[1]
	switch {
	case x.gen == 0 || e == nil || e.gen != x.gen: // nothing, or purged
		return nil
	case e.kind == kindAnswer:
		return x.find(ctx, e, x.key)
	case e.kind == kindIndex:
		return x.findVariant(ctx, e)
	}
	return nil
}

// findVariant finds the newest of the variants that the request may have.
func (x *exchange) findVariant(ctx context.Context, index *Entry) error {
	var keys []string
	for _, v := range index.variants {
		key := variantKey(x.key, v.names, x.req, &x.takes)
		if key == v.key {
			keys = append(keys, key)
		}
	}
	x.varies = len(keys) == 0
	if x.varies {
		return nil
	}
	got := make([]*Entry, len(keys))
	if err := x.cache.get(ctx, got, keys); err != nil {
		return err
	}
	newest := -1
	for i, e := range got {
		if e != nil && e.kind == kindAnswer && e.gen == x.gen && (newest < 0 || e.answer.at.After(got[newest].answer.at)) {
			newest = i
		}
	}
	if newest < 0 {
		return nil
	}
	return x.find(ctx, got[newest], keys[newest])
}

// find takes an answer for the one that is kept, unless one of its tags was purged or the request
// must not have it.
func (x *exchange) find(ctx context.Context, e *Entry, key string) error {
	if !x.mayHave(&e.answer.control) {
		return nil
	}
	if len(e.answer.tags) > 0 {
		holds, err := x.cache.holds(ctx, e.answer.tags)
		if err != nil || !holds {
			return err
		}
	}
	x.found, x.foundKey = e, key
	return nil
}

// mayHave reports whether a request that says who it is from may have an answer, and whether its own
// may be kept (RFC 9111, section 3.5).
func (x *exchange) mayHave(f *freshness) bool {
	if !f.shared && len(x.req.Header["Authorization"]) > 0 && x.takes.Has("Authorization") {
		return false
	}
	return f.explicit || len(x.req.Header["Cookie"]) == 0 || !x.takes.Has("Cookie")
}

// age returns how old an answer is.
func (a *answer) ageAt(now time.Time) time.Duration {
	return min(a.age+max(now.Sub(a.at), 0), longest)
}

// left returns for how long an answer is still fresh; a negative time is how long it no longer is.
func (a *answer) left(now time.Time) time.Duration { return a.control.lifetime - a.ageAt(now) }

// judge returns why next has to be asked, or "" if what is kept will do.
func (x *exchange) judge() string {
	if x.found == nil {
		if x.varies {
			return forVary
		}
		return forMiss
	}
	a, q := &x.found.answer, &x.asked
	left := a.left(x.now)
	switch {
	case a.control.validate:
		return forStale
	case q.noCache, q.maxAge >= 0 && a.ageAt(x.now) > q.maxAge, q.minFresh > 0 && left < q.minFresh && left > 0:
		return forRequest
	case left > 0:
		return ""
	case q.maxStale >= 0 && -left <= q.maxStale && !a.control.strict:
		return ""
	}
	return forStale
}

// mayRevalidate reports whether what is kept may be given while it is asked for again.
func (x *exchange) mayRevalidate() bool { return x.within(x.found.answer.control.whileRevalidate) }

// mayStandIn reports whether what is kept may be given where asking for it has failed.
func (x *exchange) mayStandIn() bool {
	return x.found != nil && !x.asked.noCache && x.within(x.found.answer.control.ifError)
}

func (x *exchange) within(window time.Duration) bool {
	f := &x.found.answer.control
	return window > 0 && !f.validate && !f.strict && -x.found.answer.left(x.now) <= window && x.asked.maxAge < 0 && x.asked.minFresh < 0
}

// hit answers with what is kept.
func (x *exchange) hit(ctx context.Context) (*proxy.Response, error) {
	left := x.found.answer.left(x.now)
	if left > 0 {
		x.count(&x.cache.counters.hits)
	} else {
		x.count(&x.cache.counters.stale)
	}
	note(ctx, "hit")
	return x.serve(x.found, hitStatus(left)), nil
}

// stale answers with what is kept and no longer fresh.
func (x *exchange) stale(ctx context.Context) (*proxy.Response, error) {
	x.count(&x.cache.counters.stale)
	note(ctx, "stale")
	return x.serve(x.found, hitStatus(x.found.answer.left(x.now))), nil
}

// standIn answers with what is kept after next has failed.
func (x *exchange) standIn(ctx context.Context, status int) *proxy.Response {
	x.count(&x.cache.counters.stale)
	note(ctx, "stale")
	return x.serve(x.found, fmt.Sprintf("%s; fwd-status=%d", forStale, status))
}

// ask asks next, or waits for another caller that does.
func (x *exchange) ask(ctx context.Context, why string) (*proxy.Response, error) {
	leave, err := x.mark(ctx)
	defer leave()
	if err != nil {
		proxy.Report(ctx, err) // nothing is kept
	}
	if !x.mayShare() {
		return x.fetch(ctx, nil, why)
	}
	for {
		f, leads := x.cache.flights.join(x.flightKey())
		switch {
		case f == nil:
			return x.fetch(ctx, nil, why)
		case leads:
			return x.lead(ctx, f, why)
		}
		if why == forStale && x.mayRevalidate() {
			return x.stale(ctx)
		}
		o, err := f.wait(ctx)
		switch {
		case err != nil:
			return nil, &proxy.Error{Op: "cache", Err: err}
		case o.again:
			continue
		case o.err != nil && x.mayStandIn() && proxy.StatusOf(o.err) >= http.StatusInternalServerError:
			return x.standIn(ctx, proxy.StatusOf(o.err)), nil
		case o.err != nil && (o.key == x.keyOf(x.byAll) || isForAll(o.err)):
			x.count(&x.cache.counters.misses)
			x.count(&x.cache.counters.shared)
			return nil, o.err
		}
		if res := x.share(ctx, o, why); res != nil {
			return res, nil
		}
		return x.fetch(ctx, nil, why)
	}
}

// flightKey returns the key of the calls that may share one: those for the same thing, with none
// purged in between.
func (x *exchange) flightKey() string {
	key := x.key + strconv.FormatUint(x.gen, 36) + " " + strconv.FormatUint(x.purges+x.local, 36)
	for _, name := range [...]string{"Authorization", "Cookie"} { // so that who sends none is not kept from sharing
		if len(x.req.Header[name]) > 0 && x.takes.Has(name) {
			key += " " + name
		}
	}
	return key
}

// share answers with what another caller was answered, if that is an answer to this request too.
func (x *exchange) share(ctx context.Context, o outcome, why string) *proxy.Response {
	if o.entry == nil || !x.mayHave(&o.entry.answer.control) || x.keyOf(o.names) != o.key {
		return nil
	}
	x.count(&x.cache.counters.misses)
	x.count(&x.cache.counters.shared)
	note(ctx, "shared")
	x.now = time.Now()
	return x.serve(o.entry, why+"; collapsed")
}

// keyOf returns the key of an answer to the request that varies by these fields.
func (x *exchange) keyOf(names []string) string {
	if len(names) == 0 {
		return x.key
	}
	return variantKey(x.key, names, x.req, &x.takes)
}

// mayShare reports whether others may wait for the call, and it for others: its answer would be a
// whole one, and no one asks for a newer one than there is.
func (x *exchange) mayShare() bool {
	if x.req.Method == http.MethodHead || x.asked.noCache || x.asked.maxAge == 0 {
		return false
	}
	return x.validates() || !isConditional(x.req.Header)
}

func isConditional(h http.Header) bool {
	for _, name := range field.Conditions {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

// lead is fetch for a call that others may wait for.
func (x *exchange) lead(ctx context.Context, f *flight, why string) (*proxy.Response, error) {
	returned := false
	defer func() {
		if !returned {
			f.land(outcome{err: errPanicked})
		}
	}()
	res, err := x.fetch(ctx, f, why)
	returned = true
	return res, err
}

var errPanicked = &proxy.Error{Status: http.StatusInternalServerError, Op: "cache", Err: errors.New("the shared call ended in a panic")}

// validates reports whether the call asks for what is kept only if that has changed.
func (x *exchange) validates() bool {
	if x.found == nil || x.req.Method == http.MethodHead {
		return false
	}
	h := x.found.answer.said()
	return len(h["Etag"]) > 0 || len(h["Last-Modified"]) > 0
}

// said returns what the upstream has said with an answer.
func (a *answer) said() http.Header {
	if a.origin != nil {
		return a.origin
	}
	return a.header
}

// request returns the request for next: a copy, because the header is needed later as it is.
func (x *exchange) request() (out *proxy.Request, validates bool) {
	out = new(proxy.Request)
	*out = *x.req
	out.Header = x.req.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	if !x.validates() {
		return out, false
	}
	for _, name := range field.Conditions {
		delete(out.Header, name) // of the client, who has another answer perhaps
	}
	if out.Upstream = maps.Clone(x.req.Upstream); out.Upstream == nil {
		out.Upstream = http.Header{}
	}
	h := x.found.answer.said()
	if etag := h["Etag"]; len(etag) > 0 {
		out.Upstream["If-None-Match"] = []string{etag[0]}
	}
	if modified := h["Last-Modified"]; len(modified) > 0 {
		out.Upstream["If-Modified-Since"] = []string{modified[0]}
	}
	return out, true
}

// fetch asks next, keeps the answer if that is allowed, and tells those who wait in f, which may be
// nil.
func (x *exchange) fetch(ctx context.Context, f *flight, why string) (*proxy.Response, error) {
	req, validates := x.request()
	sent := time.Now()
	res, err := call.Checked(x.next(ctx, req))
	x.now = time.Now()
	if err != nil {
		return x.failed(ctx, f, err)
	}
	status := res.StatusCode()
	switch {
	case res.Upgrade != nil:
		f.land(outcome{})
		x.count(&x.cache.counters.misses)
		return res, nil
	case validates && status == http.StatusNotModified:
		return x.freshen(ctx, f, res, sent, why)
	case status >= http.StatusInternalServerError && x.mayStandIn() && isOutage(status):
		f.land(outcome{err: &proxy.Error{Status: status, Op: "status", Upstream: &proxy.UpstreamAnswer{Status: status}}, key: x.keyOf(x.byAll)})
		call.Discard(ctx, res)
		return x.standIn(ctx, status), nil
	}
	x.count(&x.cache.counters.misses)
	note(ctx, why)
	k := x.keep(res, sent)
	switch {
	case k == nil:
		f.land(outcome{})
	case res.Body == nil:
		k.entry.answer.document = res.Document.Clip()
		x.store(ctx, f, k)
		why += "; stored"
	default:
		if err := x.tee(ctx, f, k, res); err != nil {
			return nil, err
		}
		why += "; stored"
	}
	x.cache.setStatus(res, why)
	return res, nil
}

// isOutage reports whether a status is one that stale-if-error is for (RFC 5861, section 4).
func isOutage(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// isForAll reports whether an error is one for callers too that differ in what leaves take: it is not
// the fault of a client, and no answer of an upstream is in it. It looks at no more than a few errors,
// one in the other, and not at errors of which one has several.
func isForAll(err error) (ok bool) {
	defer func() {
		if recover() != nil { // a method of an error of a user
			ok = false
		}
	}()
	if proxy.StatusOf(err) < http.StatusInternalServerError {
		return false
	}
	const most = 32
	for range most {
		if e, is := err.(*proxy.Error); is && e.Upstream != nil {
			return false
		}
		wraps, is := err.(interface{ Unwrap() error })
		if !is {
			_, several := err.(interface{ Unwrap() []error })
			return !several
		}
		err = wraps.Unwrap()
	}
	return false
}

// failed ends a call that next has failed.
func (x *exchange) failed(ctx context.Context, f *flight, err error) (*proxy.Response, error) {
	if ctx.Err() != nil {
		f.land(outcome{again: true})
	} else {
		f.land(outcome{err: err, key: x.keyOf(x.byAll)})
	}
	if status := proxy.StatusOf(err); status >= http.StatusInternalServerError && x.mayStandIn() {
		proxy.Report(ctx, err)
		return x.standIn(ctx, status), nil
	}
	x.count(&x.cache.counters.misses)
	return nil, err
}
