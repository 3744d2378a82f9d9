package adapter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/cors"

	"github.com/sluice-go/sluice/internal/field"
)

// CORSSpec says which pages of other sites may call a server from a browser, and how. Its zero value admits
// no page.
type CORSSpec struct {
	// Origins are the origins of the pages that are admitted, as scheme://host or scheme://host:port,
	// without a path. An international host name is in its ASCII form, as in the URL that a browser sends.
	// Order, case and the default port of http and https do not matter here. The Origin that a client sends
	// is compared byte for byte, and browsers write it in lower case.
	//
	// A "*" at the end of the first label, directly before a dot, stands for the rest of that label and any
	// labels before it: "https://*.example.com" admits https://a.example.com and https://a.b.example.com,
	// but not https://example.com. After it come two labels or more, or localhost. "*" alone admits every
	// origin. "null" admits pages without an origin, among them sandboxed frames of any site. Neither can
	// be combined with Credentials.
	Origins []string

	// Methods are the methods that an admitted page may use, normally in upper case. Empty means GET, HEAD
	// and POST. OPTIONS is always among them.
	Methods []string

	// Headers are the names of the request headers that a page may set, in addition to those that browsers
	// let every page set; for example Authorization, or Content-Type for JSON. "*" admits all, and cannot
	// be combined with Credentials. Empty means none.
	Headers []string

	// Expose are the names of the headers of an answer that a page may read, in addition to those that
	// browsers always show. "*" means all, and cannot be combined with Credentials. Empty means none.
	Expose []string

	// Credentials admits requests with the cookies, the HTTP authentication and the client certificate that
	// the browser has for this server. Whoever controls an admitted origin can then act for its users.
	Credentials bool

	// MaxAge is how long a browser may keep the answer to a preflight request, in whole seconds. Browsers
	// have a limit of their own: 2 h in Chromium, 24 h in Firefox. 0 sends none, and browsers then take 5
	// s.
	MaxAge time.Duration

	// PrivateNetwork admits pages of the public internet even if this server is in a private network
	// (Private Network Access).
	PrivateNetwork bool
}

// CORS returns a middleware that tells browsers which pages of other sites may call the server and read its
// answers (Fetch, section 3.3, "CORS protocol"). It stands outside the router:
//
//   - It answers a preflight request itself, for any path, with 204: before routing, hosts, limits and
//     authentication. If the preflight request is admitted, the answer has the headers that it asked
//     for. If it is refused, the answer has none of them, and the browser does not send the request.
//   - Every other request goes on to the handler, whatever its Origin. CORS keeps a page from reading
//     answers, and does not protect the server. What a request may do is for authentication to decide
//     and, if there are cookies, for http.CrossOriginProtection.
//   - Every answer to an admitted page has the headers: also a problem, a 404, a stream, a tunnel, and
//     the 500 after a panic. Without them a page could not read the status.
//   - No other header that begins with Access-Control gets through. Those that an upstream or a handler
//     sends are dropped, in any spelling, even if the origin is refused. Only a handler that takes over
//     the connection writes what it likes; an endpoint drops them there too.
//   - Vary names Origin in every answer, so that no cache gives the answer for one origin to another.
//
// A request with two Origin lines, or with one that no browser writes, has no admitted origin.
//
// The error joins everything that is wrong with the spec: an invalid origin, method or header name; a "*"
// elsewhere in an origin; "*" or "null" with Credentials; a MaxAge that is negative or not in whole
// seconds.
func CORS(spec CORSSpec) (func(http.Handler) http.Handler, error) {
	origins, errs := parseOrigins(spec)
	errs = append(errs, spec.check()...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	options := cors.Options{
		AllowedMethods: spec.Methods,
		// The library takes an empty list for its default. Pages may set Accept anyway.
		AllowedHeaders:      append([]string{"Accept"}, spec.Headers...),
		ExposedHeaders:      spec.Expose,
		MaxAge:              int(spec.MaxAge / time.Second),
		AllowCredentials:    spec.Credentials,
		AllowPrivateNetwork: spec.PrivateNetwork,
	}
	if origins.all {
		options.AllowedOrigins = []string{"*"}
	} else {
		options.AllowOriginVaryRequestFunc = func(r *http.Request, _ string) (bool, []string) {
			return origins.admit(r.Header), nil
		}
	}
	library := cors.New(options)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			delete(w.Header(), allowOrigin) // there it is the verdict
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				library.HandlerFunc(w, asBrowser(r))
				return
			}
			library.HandlerFunc(w, spec.admitted(r))
			v := verdictOf(w)
			defer v.settle() // for the answer that net/http writes, or what recovers a panic outside
			next.ServeHTTP(v, r)
		})
	}, nil
}

const requestHeaders = "Access-Control-Request-Headers"

// asBrowser returns a preflight that names the headers as browsers do, in lower case and sorted. The
// library knows no other form, but clients that are no browsers send them as they are written.
func asBrowser(r *http.Request) *http.Request {
	lines := r.Header[requestHeaders]
	var names []string
	for name := range strings.SplitSeq(strings.ToLower(strings.Join(lines, ",")), ",") {
		if name = strings.Trim(name, " \t"); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	sorted := strings.Join(slices.Compact(names), ",")
	if len(lines) == 0 || len(lines) == 1 && lines[0] == sorted {
		return r
	}
	preflight := *r
	preflight.Header = maps.Clone(r.Header)
	preflight.Header[requestHeaders] = []string{sorted}
	return &preflight
}

// admitted returns a request with the Origin of r and a method that a page may use. The method is for
// a preflight to decide; the library would also keep a page from reading why another one is refused.
func (s *CORSSpec) admitted(r *http.Request) *http.Request {
	methods := s.Methods
	if len(methods) == 0 {
		methods = []string{http.MethodGet, http.MethodHead, http.MethodPost}
	}
	if slices.Contains(methods, r.Method) {
		return r
	}
	return &http.Request{Method: methods[0], Header: http.Header{"Origin": r.Header["Origin"]}}
}

// check returns what is wrong beside the origins.
func (s CORSSpec) check() (errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("adapter: CORS: "+format, args...)) }
	for _, m := range s.Methods {
		if !field.IsToken(m) || m == "*" {
			fail("method %q: not a method", m)
		}
	}
	for _, names := range []struct {
		of   string
		list []string
	}{{"header", s.Headers}, {"exposed header", s.Expose}} {
		for _, name := range names.list {
			switch {
			case !field.IsToken(name):
				fail("%s %q: not a header name", names.of, name)
			case name == "*" && s.Credentials:
				fail("%s %q: with Credentials each name must be given", names.of, name)
			}
		}
	}
	if s.MaxAge < 0 || s.MaxAge%time.Second != 0 {
		fail("MaxAge is %v, want whole seconds, or 0 for the default of the browser", s.MaxAge)
	}
	return errs
}

// An originSet is the origins that are admitted.
type originSet struct {
	all      bool
	exact    map[string]bool
	patterns []originPattern
}

// An originPattern admits what begins and ends so, with part of a host between.
type originPattern struct{ prefix, suffix string }

// maxHost is how long the name of a host can be (RFC 1035, section 2.3.4).
const maxHost = 253

// admit reports whether the only Origin of a request is in the set.
func (s *originSet) admit(h http.Header) bool {
	lines := h["Origin"]
	if len(lines) != 1 {
		return false
	}
	origin := lines[0]
	if s.exact[origin] {
		return true
	}
	for _, p := range s.patterns {
		rest, begins := strings.CutPrefix(origin, p.prefix)
		host, ends := strings.CutSuffix(rest, p.suffix)
		if begins && ends && len(host) <= maxHost && field.AreLabels(host) && strings.ToLower(host) == host {
			return true
		}
	}
	return false
}

func parseOrigins(spec CORSSpec) (set originSet, errs []error) {
	set.exact = map[string]bool{}
	for _, text := range spec.Origins {
		err := set.add(text)
		if err == nil && spec.Credentials && (text == "*" || text == "null") {
			err = errors.New("with Credentials any site could act for its users")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("adapter: CORS: origin %q: %w", text, err))
		}
	}
	return set, errs
}

var (
	errNotOrigin = errors.New("want scheme://host or scheme://host:port")
	errStar      = errors.New(`a "*" stands at the end of the first label, directly before a dot, with two labels or localhost behind it`)
)

func (s *originSet) add(text string) error {
	switch text {
	case "*":
		s.all = true
		return nil
	case "null":
		s.exact[text] = true
		return nil
	}
	scheme, rest, ok := strings.Cut(strings.ToLower(text), "://")
	if !ok || !isScheme(scheme) {
		return errNotOrigin
	}
	host, port, err := cutPort(rest, scheme)
	if err != nil {
		return err
	}
	if begin, domain, star := strings.Cut(host, "*"); star {
		parent, isChild := strings.CutPrefix(domain, ".")
		if strings.Contains(begin, ".") || begin != "" && !field.AreLabels(begin) || !isChild || !field.AreLabels(parent) ||
			!strings.Contains(parent, ".") && parent != "localhost" {
			return errStar
		}
		s.patterns = append(s.patterns, originPattern{scheme + "://" + begin, domain + port})
		return nil
	}
	if address, isAddress := strings.CutPrefix(host, "["); isAddress {
		ip, err := netip.ParseAddr(strings.TrimSuffix(address, "]"))
		if err != nil || ip.Zone() != "" {
			return errNotOrigin
		}
	} else if !field.AreLabels(host) {
		return errNotOrigin
	}
	s.exact[scheme+"://"+host+port] = true
	return nil
}

// cutPort cuts ":port" from a host. It is empty for the default port, which browsers leave out.
func cutPort(s, scheme string) (host, port string, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < strings.LastIndexByte(s, ']') || i < 0 {
		return s, "", nil
	}
	host, port = s[:i], s[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return "", "", errNotOrigin
	}
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return host, "", nil
	}
	return host, ":" + port, nil
}

// isScheme reports whether s is the scheme of a URL in lower case (RFC 3986, section 3.1).
func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if ('a' > c || c > 'z') && (i == 0 || ('0' > c || c > '9') && strings.IndexByte("+-.", c) < 0) {
			return false
		}
	}
	return s != ""
}

const (
	allowOrigin = "Access-Control-Allow-Origin"
	corsPrefix  = "Access-Control-"
)

// clearCORS removes every Access-Control field, in any spelling.
func clearCORS(h http.Header) {
	for name := range h {
		if len(name) > len(corsPrefix) && name[0]|0x20 == 'a' && field.AreTwins(name[:len(corsPrefix)], corsPrefix) {
			delete(h, name)
		}
	}
}

// A verdict is a ResponseWriter that puts what was decided about the origin into the header right
// before it is sent, whatever the handler has made of it.
type verdict struct {
	http.ResponseWriter
	origin, expose, credentials []string // nil for what is not sent
	settled                     bool
}

// verdictOf reads what the library has put into the header.
func verdictOf(w http.ResponseWriter) *verdict {
	v := &verdict{ResponseWriter: w}
	h := w.Header()
	if v.origin = h[allowOrigin]; v.origin != nil {
		v.expose, v.credentials = h["Access-Control-Expose-Headers"], h["Access-Control-Allow-Credentials"]
	}
	return v
}

// settle makes the header of the final answer.
func (v *verdict) settle() {
	if v.settled {
		return
	}
	v.settled = true
	h := v.Header()
	clearCORS(h)
	if v.origin != nil {
		h[allowOrigin] = v.origin
		if v.expose != nil {
			h["Access-Control-Expose-Headers"] = v.expose
		}
		if v.credentials != nil {
			h["Access-Control-Allow-Credentials"] = v.credentials
		}
	}
	if !field.HasToken(h["Vary"], "Origin") {
		h.Add("Vary", "Origin")
	}
}

func (v *verdict) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		if !v.settled {
			clearCORS(v.Header()) // they mean nothing in an informational answer, and follow with the final one
		}
	} else {
		v.settle()
	}
	v.ResponseWriter.WriteHeader(status)
}

func (v *verdict) Write(b []byte) (int, error) {
	v.settle()
	return v.ResponseWriter.Write(b)
}

// ReadFrom lets the connection send a file without copying it.
func (v *verdict) ReadFrom(src io.Reader) (int64, error) {
	v.settle()
	return io.Copy(v.ResponseWriter, src)
}

// Flush implements [http.Flusher] for handlers that ask for it.
func (v *verdict) Flush() { _ = v.FlushError() }

// FlushError is what http.ResponseController calls. A flush sends the header too.
func (v *verdict) FlushError() error {
	v.settle()
	return http.NewResponseController(v.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker] for handlers that ask for it.
func (v *verdict) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(v.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController reach the original.
func (v *verdict) Unwrap() http.ResponseWriter { return v.ResponseWriter }
