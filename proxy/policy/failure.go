package policy

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// passing reports whether what came of a call is a failure that may pass, and the header that may say when.
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
			status = e.Upstream.Status // 502 stands for any 5xx
		}
	}
	return passingStatus(status, h), h
}

// telling returns the first header with a Retry-After.
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

// ours reports whether a call was refused on our side.
func ours(err error) bool { return errors.Is(err, ErrLimited) || errors.Is(err, proxy.ErrAbandoned) }

// unfit reports whether the answer, or the request, is of a kind that another try cannot change.
func unfit(err error) bool {
	if errors.Is(err, proxy.ErrStream) || errors.Is(err, proxy.ErrBodyNotReplayable) {
		return true
	}
	if _, ok := errors.AsType[*document.MergeError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*document.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*proxy.BindError](err); ok {
		return true
	}
	for e := range errorsIn(err) {
		switch e.Op {
		case "resolve": // no URL could be made
			return true
		case "decode": // unless it was cut
			return !errors.Is(err, io.ErrUnexpectedEOF)
		}
	}
	return false
}

// retryAfter returns what a Retry-After says, in seconds or as a date, and whether there is a valid one.
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
