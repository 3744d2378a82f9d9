package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// proves T6
func TestOnlyAVerdictOfTheJudgeAdmits(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	says := func(status int) func() (*proxy.Response, error) {
		return func() (*proxy.Response, error) {
			return &proxy.Response{Status: status, Header: http.Header{"Www-Authenticate": {"Bearer"}, "X-Other": {"1"}}, Body: proxytest.NewBody("of the judge")}, nil
		}
	}
	fails := func(err error) func() (*proxy.Response, error) {
		return func() (*proxy.Response, error) { return nil, err }
	}
	tests := []struct {
		name   string
		judge  func() (*proxy.Response, error)
		status int // 0 passes
	}{
		{"200", says(200), 0},
		{"204", func() (*proxy.Response, error) { return &proxy.Response{Status: 204}, nil }, 0},
		{"0 is 200", func() (*proxy.Response, error) { return &proxy.Response{}, nil }, 0},
		{"401", says(401), 401},
		{"403", says(403), 403},
		{"401 as an error", fails(&proxy.Error{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}}), 401},
		{"401 of an upstream", fails(&proxy.Error{Status: 401, Upstream: &proxy.UpstreamAnswer{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}}}), 401},
		{"403 as an error", fails(&proxy.Error{Status: 403, Header: http.Header{"Www-Authenticate": {"Bearer"}}}), 403},
		{"partial", func() (*proxy.Response, error) { return &proxy.Response{Err: boom}, nil }, 503},
		{"partial 401", func() (*proxy.Response, error) {
			return &proxy.Response{Err: &proxy.Error{Status: 401, Err: boom}}, nil
		}, 503},
		{"302", says(302), 503},
		{"304", says(304), 503},
		{"101", says(101), 503},
		{"404", says(404), 503},
		{"429", says(429), 503},
		{"500", says(500), 503},
		{"599", says(599), 503},
		{"an error", fails(boom), 503},
		{"a timeout of its own", fails(context.DeadlineExceeded), 503},
		{"a cancellation of its own", fails(context.Canceled), 503},
		{"neither", fails(nil), 503},
		{"a panic", func() (*proxy.Response, error) { panic("bug") }, 503},
		{"Goexit", func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil }, 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var body *proxytest.Body
			judge := func(context.Context, *proxy.Request) (*proxy.Response, error) {
				res, err := tt.judge()
				if res != nil {
					body, _ = res.Body.(*proxytest.Body)
				}
				return res, err
			}
			req, err := through(t.Context(), get("Authorization", "Bearer a"), auth.Ask(judge))
			if body != nil {
				assert.Equal(t, 1, body.Closes())
			}
			if tt.status == 0 {
				assert.NoError(t, err)
				assert.NotNil(t, req)
				return
			}
			assert.Nil(t, req)
			assert.Equal(t, tt.status, proxy.StatusOf(err))
			if tt.status == 503 {
				assert.ErrorIs(t, err, auth.ErrJudge)
				assert.Empty(t, headerOf(t, err))
				return
			}
			assert.ErrorIs(t, err, auth.ErrDenied)
			assert.Equal(t, http.Header{"Www-Authenticate": {"Bearer"}}, headerOf(t, err))
		})
	}
}

// proves T6
func TestAJudgeThatBlocksDeniesInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body, done := proxytest.NewBody("late"), make(chan struct{})
		deaf := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-done
			return &proxy.Response{Body: body}, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		req, err := through(ctx, get(), auth.Ask(deaf))
		assert.Nil(t, req)
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
		assert.Equal(t, time.Second, time.Since(start))
		close(done)
		synctest.Wait()
		assert.Equal(t, 1, body.Closes())

		hangs := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		req, err = through(t.Context(), get(), auth.Ask(hangs.With(policy.Timeout(time.Second))))
		assert.Nil(t, req)
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err), "a timeout of the judge")
	})
}

func TestTheJudgeIsAskedForTheRequest(t *testing.T) {
	t.Parallel()
	sent := proxy.NewRequest("POST", "/orders/7")
	sent.RawQuery, sent.Host = "a=b&c", "shop.test"
	sent.Query = url.Values{"a": {"b"}, "c": {""}}
	sent.Params.Set("id", "7")
	sent.SetBody("application/json", []byte(`{"secret":1}`))
	sent.Header.Set("Authorization", "Bearer a")
	sent.Header["X_Forwarded_Method"] = []string{"GET"}
	sent.Header.Set("X-Forwarded-Uri", "/public")
	sent.Upstream.Set("Authorization", "Bearer of the house")
	sent.UpstreamQuery = []string{"a"}
	asked := 0
	judge := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		asked++
		assert.Equal(t, "GET", req.Method)
		assert.Equal(t, http.Header{"X-Forwarded-Method": {"POST"}, "X-Forwarded-Uri": {"/orders/7?a=b&c"}}, req.Upstream)
		assert.Equal(t, http.Header{"Authorization": {"Bearer a"}}, req.Header)
		assert.Equal(t, "shop.test", req.Host)
		assert.Equal(t, "7", req.Params.Get("id"))
		assert.Equal(t, "b", req.Query.Get("a"))
		assert.Empty(t, req.UpstreamQuery)
		assert.Nil(t, req.Body)
		assert.Nil(t, req.GetBody)
		assert.Zero(t, req.ContentLength)
		req.Header.Set("Authorization", "changed")
		return &proxy.Response{}, nil
	}
	req, err := through(t.Context(), sent, auth.Ask(judge))
	require.NoError(t, err)
	assert.Equal(t, 1, asked)
	assert.Equal(t, "POST", req.Method)
	assert.Equal(t, "Bearer a", req.Header.Get("Authorization"))
	twin := "X_Forwarded_Method"
	assert.Equal(t, []string{"GET"}, req.Header[twin], "what the client sent is its own")
	assert.Equal(t, http.Header{"Authorization": {"Bearer of the house"}}, req.Upstream)
	assert.NotNil(t, req.Body)
}

func TestAConditionOfTheClientIsNotOneForTheJudge(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"} {
			assert.NotContains(t, r.Header, name)
		}
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Unix(1, 0), strings.NewReader("yes"))
	}))
	t.Cleanup(upstream.Close)
	judge := pipe.Check(backend.New(backend.Spec{URL: upstream.URL, Headers: []string{"*"}, Decode: backend.Passthrough}))
	sent := proxy.NewRequest("GET", "/orders")
	for name, value := range map[string]string{"If-None-Match": `"1"`, "If-Modified-Since": "Mon, 01 Jan 2035 00:00:00 GMT", "If-Match": `"2"`,
		"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT", "If-Range": `"1"`, "Range": "bytes=99-"} {
		sent.Header.Set(name, value)
	}
	req, err := through(t.Context(), sent, auth.Ask(judge))
	require.NoError(t, err)
	assert.Equal(t, `"1"`, req.Header.Get("If-None-Match"), "for the upstream")
}

// proves U1
func TestTheJudgeSeesTheQueryThatUpstreamsGet(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                           "/orders",
		"b=2&a=%31":                  "/orders?b=2&a=%31",
		"user=ada&x=1;user=eve":      "/orders?user=ada",
		"user=ada&user=%zz":          "/orders?user=ada",
		"user=ada#&user=eve":         "/orders?user=ada%23&user=eve",
		"x=1;admin=1":                "/orders",
		"user=ada&user=eve&a=\u00e9": "/orders?a=%C3%A9&user=ada&user=eve",
	} {
		sent := proxy.NewRequest("GET", "/orders")
		sent.RawQuery = raw
		sent.Query, _ = url.ParseQuery(raw)
		var uri string
		judge := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			uri = req.Upstream.Get("X-Forwarded-Uri")
			return &proxy.Response{}, nil
		}
		_, err := through(t.Context(), sent, auth.Ask(judge))
		require.NoError(t, err)
		assert.Equal(t, want, uri, raw)
	}
}

// proves H5, H6
func TestUpstreamsGetTheNamedHeadersOfTheJudge(t *testing.T) {
	t.Parallel()
	answer := http.Header{"X-User": {"ada"}, "X-Groups": {"a", "b"}, "X-Other": {"1"}}
	for name, res := range map[string]func() *proxy.Response{
		"a stream": func() *proxy.Response { return &proxy.Response{Header: answer, Body: proxytest.NewBody("")} },
		"a document": func() *proxy.Response {
			return &proxy.Response{Header: http.Header{}, Origin: answer, Document: document.MustParse(`{}`)}
		},
		"nothing": func() *proxy.Response { return &proxy.Response{} },
	} {
		sent := get()
		for _, twin := range []string{"X-User", "X_User", "X.Groups", "x~absent", "X-Absent"} {
			sent.Header[twin], sent.Upstream[twin] = []string{"admin"}, []string{"admin"}
		}
		sent.Header["X-Kept"] = []string{"1"}
		judge := func(context.Context, *proxy.Request) (*proxy.Response, error) { return res(), nil }
		req, err := through(t.Context(), sent, auth.Ask(judge, "X-User", "x-groups", "X-Absent"))
		require.NoError(t, err)
		assert.Equal(t, http.Header{"X-Kept": {"1"}}, req.Header, name)
		want := http.Header{"X-User": {"ada"}, "X-Groups": {"a", "b"}}
		if name == "nothing" {
			want = http.Header{}
		}
		assert.Equal(t, want, req.Upstream, name)
	}
}

// proves H7
func TestAHeaderOfTheJudgeThatCannotBeSentDenies(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"a\r\nX-Admin: 1", "a\x00", "a\n"} {
		judge := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: http.Header{"X-User": {value}}}, nil
		}
		req, err := through(t.Context(), get("X-User", "admin"), auth.Ask(judge, "X-User"))
		assert.Nil(t, req)
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
	}
}

// proves H8
func TestAJudgeOverHTTP(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		host := proxytest.NewUpstream(
			proxytest.Answer(200, `{}`).Header("X-User", "ada"),
			proxytest.Answer(401, `{}`).Header("WWW-Authenticate", "Bearer"),
			proxytest.Answer(302, ``).Header("Location", "/login"),
			proxytest.Hang(),
		)
		network := proxytest.NewNetwork(t)
		network.Serve("judge", host)
		judge := pipe.Check(backend.HTTP{Transport: network.Transport()}.New(backend.Spec{Name: "judge", URL: "http://judge/verify", Headers: []string{"Authorization"}}))
		ask := auth.Ask(judge.With(policy.Timeout(time.Second)), "X-User")

		req, err := through(t.Context(), get("Authorization", "Bearer a", "Cookie", "session=1"), ask)
		require.NoError(t, err)
		assert.Equal(t, http.Header{"X-User": {"ada"}}, req.Upstream)
		_, err = through(t.Context(), get(), ask)
		assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err))
		assert.Equal(t, []string{"Bearer"}, headerOf(t, err)["Www-Authenticate"])
		_, err = through(t.Context(), get(), ask)
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
		_, err = through(t.Context(), get(), ask)
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
		host.AssertCalls(t, 4)
		first := host.Calls()[0]
		first.AssertURL(t, "GET /verify")
		assert.Equal(t, "Bearer a", first.Header.Get("Authorization"))
		assert.Empty(t, first.Header.Get("Cookie"), "its Spec does not name it")
		assert.Equal(t, "/orders", first.Header.Get("X-Forwarded-Uri"))
	})
}

// Even of a judge whose failures are written for clients only the status goes on.
func TestTheBodyOfTheJudgeGoesToNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := proxytest.NewNetwork(t)
		network.Serve("judge", proxytest.NewUpstream(proxytest.Answer(403, `{"secret":1}`)))
		judge := pipe.Check(backend.HTTP{Transport: network.Transport()}.New(backend.Spec{URL: "http://judge/verify", PassErrors: true}))
		h, err := endpoint.New(endpoint.Spec{Proxy: proxy.Proxy(answers).With(auth.Ask(judge))})
		require.NoError(t, err)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, http.StatusForbidden, w.Code)
		assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		assert.NotContains(t, w.Body.String(), "secret")
	})
}

func TestAnAskThatCannotBeMadeIsAFault(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, faultsOf(auth.Ask(nil, "X User")), "auth: Ask: header \"X User\": it is not the name of a header\nauth: Ask: the judge is nil")
	assert.EqualError(t, faultsOf(auth.Ask(answers, "TE")), `auth: Ask: header "TE": only the backend sets Te`)
	req, err := through(t.Context(), get(), auth.Ask(nil))
	assert.Nil(t, req)
	assert.Error(t, err)
}

func TestThePlanShowsTheJudge(t *testing.T) {
	t.Parallel()
	leaf := func(name string) proxy.Proxy {
		return pipe.Describe(proxy.Proxy(answers), pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | pipe.HonoursContext})
	}
	plan := pipe.PlanOf(leaf("orders").With(auth.Ask(leaf("judge"), "X-User")))
	assert.Equal(t, `→ ask (X-User), in order
  · judge
    ↔ backend judge
  ↔ backend orders
`, plan.String())
	assert.NoError(t, plan.Before("judge", "orders"))
	assert.NoError(t, plan.Guards("ask", "orders"))
	assert.True(t, plan.HonoursContext())
}

func TestAskKeepsTheLaws(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, auth.Ask(answers, "X-User"))
}
