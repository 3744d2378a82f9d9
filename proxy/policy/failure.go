package policy

import (
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// passing reports whether a call failed in a way that may pass. It also returns the header that may
// say when.
func passing(res *proxy.Response, err error) (bool, http.Header) {
	if err != nil {
		return passingError(err)
	}
	if !open(res) {
		return false, nil
	}
	return passingStatus(res.StatusCode(), res.Header), res.Header
}

func passingStatus(status int, h http.Header) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusTooManyRequests:
		_, told := retryAfter(h)
		return told
	}
	return false
}

func passingError(err error) (bool, http.Header) {
	if ours(err) || unfit(err) {
		return false, nil
	}
	var h http.Header
	status := proxy.StatusOf(err)
	for e := range errorsIn(err) {
		h = telling(h, e.Header)
		if e.Upstream == nil {
			continue
		}
		h = telling(h, e.Upstream.Header)
		if status == http.StatusBadGateway {
			status = e.Upstream.Status // more exact: 502 stands for any 5xx
		}
	}
	return passingStatus(status, h), h
}

// telling returns h if it has a Retry-After, and otherwise other.
func telling(h, other http.Header) http.Header {
	if h.Get("Retry-After") == "" {
		return other
	}
	return h
}

// errorsIn ranges over the proxy errors of a chain, outermost first.
func errorsIn(err error) func(yield func(*proxy.Error) bool) {
	return func(yield func(*proxy.Error) bool) {
		for {
			e, ok := errors.AsType[*proxy.Error](err)
			if !ok || !yield(e) {
				return
			}
			err = e.Err
		}
	}
}

// refusals are why sluice itself refuses a call. Another try would only add to the load.
var refusals = [...]error{proxy.ErrAbandoned, proxy.ErrNoHosts, ErrLimited, ErrLimitStore, ErrOpen, ErrFull, ErrShed, call.ErrNotCached}

// ours reports whether sluice itself refused a call.
func ours(err error) bool {
	return slices.ContainsFunc(refusals[:], func(refusal error) bool { return errors.Is(err, refusal) })
}

// unsent reports whether there was no request that could be sent.
func unsent(err error) bool {
	if errors.Is(err, proxy.ErrBodyNotReplayable) {
		return true
	}
	if _, ok := errors.AsType[*proxy.BindError](err); ok {
		return true
	}
	for e := range errorsIn(err) {
		if e.Op == "resolve" { // the request has no valid URL
			return true
		}
	}
	return false
}

// unfit reports whether the request or the answer is such that another try would fail again.
func unfit(err error) bool {
	if unsent(err) || errors.Is(err, proxy.ErrStream) || errors.Is(err, proxy.ErrNotModified) {
		return true
	}
	if _, ok := errors.AsType[*document.MergeError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*document.Error](err); ok {
		return true
	}
	for e := range errorsIn(err) {
		if e.Op == "decode" {
			return !errors.Is(err, io.ErrUnexpectedEOF) // the next answer may not be cut off
		}
	}
	return false
}

// retryAfter returns the wait that a Retry-After asks for, in seconds or as a date. It also reports
// whether there is a valid one.
func retryAfter(h http.Header) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(math.MaxInt64/time.Second))) * time.Second, true
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return max(time.Until(date), 0), true
}

// inSeconds returns a header that asks to wait for at least d, or nil if d is not positive.
func inSeconds(d time.Duration) http.Header {
	if d <= 0 {
		return nil
	}
	seconds := int64(math.Ceil(d.Seconds())) // at least 1: a client that came back at once would be refused again
	return http.Header{"Retry-After": {strconv.FormatInt(seconds, 10)}}
}
