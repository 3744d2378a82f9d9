package endpoint

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-go/sluice/internal/ids"
	"github.com/sluice-go/sluice/proxy"
)

var (
	errConnect = errors.New("CONNECT is not served")
	errPairs   = errors.New("the query has more pairs than are parsed")
	errPath    = errors.New("the path does not begin with a slash")
)

// convert fills in req, the request of the pipe, without its body. The segments of a wildcard go to
// room, which they keep. A map of nothing is nil; see giveMaps.
func (h *handler) convert(req *proxy.Request, r *http.Request, id string, room []string) error {
	req.Method, req.Pattern, req.Host, req.TLS = r.Method, r.Pattern, r.Host, r.TLS
	req.RawQuery = r.URL.RawQuery
	var all []string
	if h.scope.Described() && len(r.Header) > 0 {
		req.Header, all = cloned(r.Header, keepEndToEnd), make([]string, 0, 4)
	} else {
		size := len(r.Header) + 3 // forward adds up to three; a small map has room for eight
		if r.Header[xRequestID] == nil {
			size++
		}
		req.Header = make(http.Header, size)
		all = filter(req.Header, r.Header, 4, false, keepEndToEnd)
	}
	all = h.forward(req, r, all)
	// Not assigned anew where it is there already: that would make a small map grow that is full.
	if lines := req.Header[xRequestID]; len(lines) != 1 || lines[0] != id {
		set(req.Header, all, xRequestID, id)
	}
	if r.Method == http.MethodConnect {
		allow := http.Header{"Allow": {"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}} // RFC 9110, section 15.5.6
		return &proxy.Error{Status: http.StatusMethodNotAllowed, Op: "endpoint", Err: errConnect, Header: allow}
	}
	req.Path = r.URL.EscapedPath()
	if req.Path == "" {
		req.Path = "/" // the absolute form without a path (RFC 9112, section 3.2.2)
	}
	if req.Path[0] != '/' {
		return badRequest(errPath)
	}
	var err error
	if req.Query, err = parseQuery(r.URL.RawQuery); err != nil {
		return badRequest(err)
	}
	if req.Params, err = paramsOf(r, req.Path, room); err != nil {
		return badRequest(err)
	}
	return nil
}

// giveMaps gives a request the maps that code of a user may write to. Our own steps make one where
// there is none.
func giveMaps(req *proxy.Request) {
	if req.Query == nil {
		req.Query = url.Values{}
	}
	req.Upstream = http.Header{}
}

func badRequest(err error) error {
	return &proxy.Error{Status: http.StatusBadRequest, Op: "endpoint", Err: err}
}

// parseQuery drops the pairs that do not parse, and refuses a query of which net/url parses nothing
// because it has too many pairs. net/url does not tell these apart: there were too many if nothing
// parsed together and a pair parses alone.
func parseQuery(raw string) (url.Values, error) {
	if raw == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(raw)
	if err == nil || len(values) > 0 {
		return values, nil
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if one, err := url.ParseQuery(pair); err == nil && len(one) > 0 {
			return nil, errPairs
		}
	}
	if strings.Count(raw, "&") >= maxPairs {
		return nil, errPairs
	}
	return values, nil
}

// maxPairs is how many pairs net/url parses unless GODEBUG says otherwise.
const maxPairs = 10_000

const xRequestID = ids.Header

// requestID returns the id of a request, which is always well-formed, also where the hook fails.
func (h *handler) requestID(r *http.Request) (id string, err error) {
	if h.spec.RequestID == nil {
		return ids.Of(r.Header), nil
	}
	if id, err = h.askRequestID(r); err != nil {
		return ids.New(), hookError("request id", err)
	}
	if !ids.Valid(id) {
		id = ids.New()
	}
	return id, nil
}

// askRequestID calls the hook. It is apart from requestID, where its closure would cost every
// request an allocation.
func (h *handler) askRequestID(r *http.Request) (id string, err error) {
	err = apart(func() { id = h.spec.RequestID(r) })
	return id, err
}
