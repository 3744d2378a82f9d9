package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestASuccessCarriesTheRequestIDWhenTold(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		for _, told := range []bool{false, true} {
			status, p := way(func() http.Header { return http.Header{"X-A": {"1"}} })
			spec := endpoint.Spec{Stream: name == "a tunnel", Proxy: p, SendRequestID: told, RequestID: func(*http.Request) string { return "id-1" }}
			h := newHandler(t, spec)
			srv, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if told {
					w.Header().Set("X-Request-Id", "a middleware's")
				}
				h.ServeHTTP(w, r)
			}))
			res := rawResponse(t, srv.Listener.Addr().String(), upgrade)
			assert.Equal(t, status, res.StatusCode, name)
			want := []string{"id-1"}
			if !told && name != "a problem" {
				want = nil
			}
			assert.Equal(t, want, res.Header["X-Request-Id"], name)
		}
	}
}

func TestTheRequestIDOfAnUpstreamIsNotThatOfTheAnswer(t *testing.T) {
	t.Parallel()
	_, p := ways["a stream"](func() http.Header { return http.Header{"X-Request-Id": {"theirs"}} })
	for told, want := range map[bool]string{false: "theirs", true: "id-1"} {
		h := newHandler(t, endpoint.Spec{Proxy: p, SendRequestID: told, RequestID: func(*http.Request) string { return "id-1" }})
		assert.Equal(t, want, record(h, httptest.NewRequest(http.MethodGet, "/", nil)).Header().Get("X-Request-Id"))
	}
}

// proves D15
func TestXCompletedCanBeOmittedAndIsNotOnARedirect(t *testing.T) {
	t.Parallel()
	partial := errors.New("recs")
	tests := []struct {
		status int
		err    error
		omit   bool
		want   string
	}{
		{200, nil, false, "true"},
		{204, nil, false, "true"},
		{404, nil, false, "true"},
		{200, partial, false, "false"},
		{299, partial, false, "false"},
		{300, nil, false, ""},
		{303, nil, false, ""},
		{304, nil, false, ""},
		{399, partial, false, ""},
		{400, partial, false, "false"},
		{200, nil, true, ""},
		{200, partial, true, ""},
	}
	for _, tt := range tests {
		for _, stream := range []bool{false, true} {
			h := newHandler(t, endpoint.Spec{OmitCompleted: tt.omit, CacheControl: "max-age=60", Proxy: answers(func() *proxy.Response {
				res := &proxy.Response{Status: tt.status, Err: tt.err}
				if stream {
					res.Body = newBody("rows")
				}
				return res
			})})
			got := record(h, httptest.NewRequest(http.MethodGet, "/", nil)).Result().Header
			want := tt.want
			if stream && want == "true" {
				want = "" // the end of a stream is not known yet
			}
			assert.Equal(t, want, got.Get("X-Completed"), "%+v, stream %v", tt, stream)
			if tt.err != nil {
				assert.Equal(t, "no-store", got.Get("Cache-Control"), "a partial answer is one also where nobody is told")
			}
		}
	}
}

func TestRefusedTellsARefusalFromAFailure(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{400: false, 401: true, 403: true, 404: false, 429: true, 499: false, 500: false, 502: false, 503: false} {
		err := fmt.Errorf("x: %w", &proxy.Error{Status: status})
		assert.Equal(t, want, endpoint.Refused(err), status)
		assert.Equal(t, want, endpoint.Refused(&proxy.Error{Op: "hold", Err: err}), status)
	}
	assert.False(t, endpoint.Refused(nil))
	assert.False(t, endpoint.Refused(errors.New("x")))

	var refused, failed int
	report := func(_ context.Context, err error) {
		if endpoint.Refused(err) {
			refused++
		} else {
			failed++
		}
	}
	for _, status := range []int{401, 429, 502} {
		record(newHandler(t, endpoint.Spec{Proxy: fails(&proxy.Error{Status: status}), Report: report}), httptest.NewRequest(http.MethodGet, "/", nil))
	}
	assert.Equal(t, []int{2, 1}, []int{refused, failed})
}

// Whoever counts refusals does not count an answer of 200.
func TestWhatIsReportedBesideAnAnswerIsNoRefusal(t *testing.T) {
	t.Parallel()
	forbidden := fails(&proxy.Error{Status: 403, Op: "guard"})
	mirror, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: forbidden})
	require.NoError(t, err)
	for name, p := range map[string]proxy.Proxy{
		"a part of a partial answer": proxy.Merge(proxy.Part{Name: "a", Proxy: jsonOf(`{}`)}, proxy.Optional(proxy.Part{Name: "b", Proxy: forbidden})),
		"a mirror":                   jsonOf(`{}`).With(mirror.Decorate),
		"a stream that breaks": answers(func() *proxy.Response {
			return &proxy.Response{Body: proxytest.NewBrokenBody("a", &proxy.Error{Status: 403})}
		}),
	} {
		reported := make(chan error, 1)
		h := newHandler(t, endpoint.Spec{Proxy: p, Report: func(_ context.Context, err error) { reported <- err }})
		w := httptest.NewRecorder()
		func() {
			defer func() { _ = recover() }() // as net/http does where a stream breaks
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		}()
		assert.Equal(t, 200, w.Code, name)
		err := <-reported
		assert.False(t, endpoint.Refused(err), "%s: %v", name, err)
		assert.False(t, endpoint.Refused(fmt.Errorf("page: %w", err)), name)
		assert.Equal(t, 403, proxy.StatusOf(err), name)
	}
	require.NoError(t, mirror.Drain(t.Context()))
}

func TestACacheControlThatCannotBeReadIsAFault(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "no-store", "max-age=0", "Public, max-age=60", "s-maxage=60,stale-while-revalidate=30 , stale-if-error=1",
		`private="Set-Cookie, X-A", no-cache="X-B"`, "max-age=31536000, immutable", "must-revalidate, proxy-revalidate, no-transform, must-understand, private, no-cache"} {
		_, err := endpoint.New(endpoint.Spec{Proxy: jsonOf(`{}`), CacheControl: good})
		assert.NoError(t, err, good)
	}
	for bad, says := range map[string]string{
		"max-age=x, publik":         `"max-age=x" needs a number of seconds`,
		"publik":                    `"publik" is not known`,
		"max-age":                   `"max-age" needs a number of seconds`,
		"max-age=-1":                `"max-age=-1" needs a number of seconds`,
		"max-age=+1":                `needs a number of seconds`,
		"max-age=":                  `needs a number of seconds`,
		"max-age=1.5":               `needs a number of seconds`,
		"max-age=99999999999":       `needs a number of seconds`,
		`max-age="60"`:              `needs a number of seconds`,
		"max-age = 60":              `is not known`,
		"max-age=60, MAX-AGE=61":    `"MAX-AGE" is there twice`,
		"max-age=60,":               `"" is not known`,
		",":                         `"" is not known`,
		"public max-age=60":         `is not known`,
		"no-store=1":                `"no-store=1" takes no value`,
		"public=":                   `takes no value`,
		"private=Set-Cookie":        `needs names in quotes`,
		`private="Set-Cookie`:       `needs names in quotes`,
		`private=""`:                `needs names in quotes`,
		`private="a b"`:             `needs names in quotes`,
		`no-cache="X-A", no-cachee`: `"no-cachee" is not known`,
		"only-if-cached":            `is not known`, // of a request
		"max-age=1\r\nX: y":         `control character`,
	} {
		_, err := endpoint.New(endpoint.Spec{Name: "page", Proxy: jsonOf(`{}`), CacheControl: bad})
		require.Error(t, err, bad)
		assert.ErrorContains(t, err, "endpoint: New (page): CacheControl", bad)
		assert.ErrorContains(t, err, says, bad)
	}
	_, err := endpoint.New(endpoint.Spec{Proxy: jsonOf(`{}`), CacheControl: "max-age=x, publik"})
	assert.ErrorContains(t, err, `"max-age=x"`)
	assert.ErrorContains(t, err, `"publik"`)
}
