package router

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/pipe"
)

// Echo returns a handler that answers with the request as it has seen it. It is for debugging a client, or
// the proxies in front:
//
//	{"method":"GET","path":"/echo","query":{"a":["1"]},"host":"api.example.com","proto":"HTTP/1.1",
//	 "client":"192.0.2.7","scheme":"https","headers":{"Accept":["*/*"],"Authorization":["***"]},"body":""}
//
// The client, its scheme and host are those of [endpoint.ClientOf]. The path is escaped, as it came. The
// body is shown up to 64 KiB, with "truncated":true if there is more; a body that is not UTF-8 is shown in
// base64, as bodyBase64. The answer must not be cached. A body that cannot be read is 400.
//
// The values of headers and parameters that look like a secret are masked: Authorization, Cookie, DPoP, and
// those with token, secret, password, session, signature, credential or api-key in their name. The rest
// shows how the proxies in front change a request, so mount Echo only where clients may know that.
func Echo() http.Handler { return echo{} }

type echo struct{}

// maxEcho is how many bytes of a body an echo shows.
const maxEcho = 64 << 10

type echoed struct {
	Method     string      `json:"method"`
	Path       string      `json:"path"`
	Query      url.Values  `json:"query"`
	Host       string      `json:"host"`
	Proto      string      `json:"proto"`
	Client     string      `json:"client,omitempty"`
	Scheme     string      `json:"scheme"`
	Headers    http.Header `json:"headers"`
	Body       string      `json:"body"`
	BodyBase64 string      `json:"bodyBase64,omitempty"`
	Truncated  bool        `json:"truncated,omitempty"`
}

func (echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxEcho+1))
	if err != nil {
		refuse(w, r, "echo", http.StatusBadRequest, err)
		return
	}
	client := endpoint.ClientOf(r)
	seen := echoed{Method: r.Method, Path: r.URL.EscapedPath(), Query: masked(queryOf(r.URL.RawQuery)), Host: client.Host,
		Proto: r.Proto, Scheme: client.Scheme, Headers: masked(r.Header), Truncated: len(body) > maxEcho}
	if client.Addr.IsValid() {
		seen.Client = client.Addr.Addr().String()
	}
	if seen.Truncated {
		body = cutText(body[:maxEcho])
	}
	if utf8.Valid(body) {
		seen.Body = string(body)
	} else {
		seen.BodyBase64 = base64.StdEncoding.EncodeToString(body)
	}
	text, err := json.Marshal(seen)
	if err != nil {
		refuse(w, r, "echo", http.StatusInternalServerError, err)
		return
	}
	write(w, http.StatusOK, "application/json", text)
}

// cutText leaves out the beginning of a character at the end of a text that was cut.
func cutText(b []byte) []byte {
	for cut := 1; cut < utf8.UTFMax; cut++ {
		if end := len(b) - cut; utf8.RuneStart(b[end]) && !utf8.FullRune(b[end:]) {
			return b[:end]
		}
	}
	return b
}

// Plan returns the step of the handler.
func (echo) Plan() *pipe.Step {
	return &pipe.Step{Kind: "echo", Effects: pipe.Terminal | pipe.Buffers}
}

// queryOf parses a query, without the pairs that do not parse.
func queryOf(raw string) url.Values {
	values, _ := url.ParseQuery(raw)
	return values
}

// masked returns a copy of values by name in which no secret is shown.
func masked[M ~map[string][]string](values M) M {
	shown := make(M, len(values))
	for name, lines := range values {
		if isSecret(name) {
			lines = slices.Repeat([]string{"***"}, len(lines))
		}
		shown[name] = lines
	}
	return shown
}

// isSecret reports whether a name looks like that of a secret.
func isSecret(name string) bool {
	name = strings.ToLower(field.Twin(name))
	return slices.ContainsFunc([]string{"authorization", "cookie", "dpop", "token", "secret", "password", "session", "signature",
		"credential", "api-key", "apikey"}, func(word string) bool { return strings.Contains(name, word) })
}
