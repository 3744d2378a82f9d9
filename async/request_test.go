package async_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asks plays a message with the request.
func (l *ledger) asks(req *proxy.Request) play {
	m := l.message("asked")
	m.Request = req
	return gives(m)
}

func TestAgentAsksWithPostAndTheTopicAsPath(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen []*proxy.Request
		p := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			seen = append(seen, req)
			return &proxy.Response{}, nil
		}
		get := &proxy.Request{Method: "GET", Path: "orders.created", Upgrade: "h2c",
			Inform: func(int, http.Header) {}, Trailer: func() http.Header { return nil }}
		l := &ledger{}
		runs(t, l, async.Spec{Proxy: p}, l.asks(&proxy.Request{}), l.asks(get))
		require.Len(t, seen, 2)
		assert.Equal(t, "POST", seen[0].Method)
		assert.Equal(t, "/", seen[0].Path)
		assert.NotNil(t, seen[0].Header)
		assert.NotNil(t, seen[0].Upstream)
		assert.NotNil(t, seen[0].Query)
		assert.Nil(t, seen[0].Body)
		assert.Equal(t, "GET", seen[1].Method)
		assert.Equal(t, "/orders.created", seen[1].Path)
		assert.Empty(t, seen[1].Upgrade, "there is no connection to upgrade")
		assert.Nil(t, seen[1].Inform)
		assert.Nil(t, seen[1].Trailer)
	})
}

func TestAgentEscapesATopicThatIsNoPath(t *testing.T) {
	t.Parallel()
	for topic, want := range map[string]string{
		"":                      "/",
		"orders":                "/orders",
		"/a%2Fb//c/":            "/a%2Fb//c/",
		"a b?c=1#d":             "/a%20b%3Fc=1%23d",
		"50%":                   "/50%25",
		"line\r\nbreak\x00":     "/line%0D%0Abreak%00",
		"http://evil/orders":    "/http://evil/orders",
		"sensors/+/température": "/sensors/+/temp%C3%A9rature",
	} {
		assert.Equal(t, want, async.Escaped(topic), "%q", topic)
	}
}

// proves H7
func FuzzEscaped(f *testing.F) {
	for _, topic := range []string{"orders", "/a%2Fb", "50%", "a?b#c", "a\r\nb", "\xff", "//evil"} {
		f.Add(topic)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		path := async.Escaped(topic)
		u, err := url.ParseRequestURI("http://host" + path)
		require.NoError(t, err)
		assert.Equal(t, path, u.EscapedPath(), "nothing but a path")
		assert.Equal(t, path, async.Escaped(path), "what is escaped stays")
	})
}

func TestAgentGivesTheBodyInMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &body{Reader: strings.NewReader(`{"n":1}`)}
		req := &proxy.Request{Body: b, ContentLength: -1, Header: http.Header{"content-type": {"application/json"}}}
		p := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			assert.True(t, req.Replayable())
			assert.Equal(t, int64(7), req.ContentLength)
			assert.Equal(t, "application/json", req.Header.Get("Content-Type"))
			doc, err := req.Document()
			assert.NoError(t, err)
			assert.Equal(t, `{"n":1}`, doc.String())
			read, err := io.ReadAll(req.Body)
			assert.NoError(t, err)
			assert.Equal(t, `{"n":1}`, string(read))
			return &proxy.Response{}, nil
		}
		l := &ledger{}
		runs(t, l, async.Spec{Proxy: p}, l.asks(req))
		assert.Equal(t, []string{"asked"}, l.acked)
		assert.Equal(t, int32(1), b.closes.Load())
	})
}

// proves F6
func TestAgentRefusesABodyAboveItsLimitBeforeThePipe(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		limit   int64
		size    int
		refused bool
	}{
		{"the default less one", 0, 1<<20 - 1, false},
		{"the default", 0, 1 << 20, false},
		{"the default and one", 0, 1<<20 + 1, true},
		{"a limit", 10, 10, false},
		{"a limit and one", 10, 11, true},
		{"no limit", -1, 2 << 20, false},
		{"all there is", math.MaxInt64, 2 << 20, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var sizes []int64
				p := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
					sizes = append(sizes, req.ContentLength)
					return &proxy.Response{}, nil
				}
				b := &body{Reader: strings.NewReader(strings.Repeat("x", tt.size))}
				l := &ledger{}
				replayable := proxy.NewRequest("POST", "/")
				replayable.SetBody("", []byte(strings.Repeat("x", tt.size)))
				replayable.ContentLength = 1 // a lie
				runs(t, l, async.Spec{Proxy: p, MaxBody: tt.limit}, l.asks(&proxy.Request{Body: b}), l.asks(replayable))
				if !tt.refused {
					assert.Equal(t, []int64{int64(tt.size), int64(tt.size)}, sizes)
					return
				}
				assert.Empty(t, sizes, "the pipe was not called")
				require.Len(t, l.causes, 2)
				for _, cause := range l.causes {
					assert.ErrorIs(t, cause, async.ErrTooLarge)
					assert.Equal(t, 413, proxy.StatusOf(cause))
				}
				assert.Equal(t, int32(1), b.closes.Load())
			})
		})
	}
}

func TestAgentHandsBackAMessageWhoseBodyCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		called := false
		p := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			called = true
			return &proxy.Response{}, nil
		}
		l := &ledger{}
		none := l.message("none")
		none.Request = nil
		unopened := &proxy.Request{GetBody: func() (io.ReadCloser, error) { return nil, io.ErrClosedPipe }}
		runs(t, l, async.Spec{Proxy: p}, l.asks(&proxy.Request{Body: &body{Reader: broken{}}}), l.asks(unopened), gives(none))
		require.Len(t, l.causes, 3)
		assert.ErrorIs(t, l.causes[0], io.ErrUnexpectedEOF)
		assert.ErrorIs(t, l.causes[1], io.ErrClosedPipe)
		assert.ErrorContains(t, l.causes[2], "no request")
		assert.False(t, called)
	})
}

// A userBody is a body of a user, read and closed by functions.
type userBody struct{ read, close func() }

func (b userBody) Read([]byte) (int, error) { b.read(); return 0, io.EOF }
func (b userBody) Close() error             { b.close(); return nil }

// proves T3, T4, T14
func TestABodyOfAMessageThatDoesNotReturnFailsItsMessageAlone(t *testing.T) {
	t.Parallel()
	fine := func() {}
	for how, end := range map[string]func(){
		"panics": func() { panic("bug") },
		"exits":  runtime.Goexit,
		"blocks": func() { <-time.After(time.Hour) },
	} {
		for name, req := range map[string]*proxy.Request{
			"Read":                 {Body: userBody{end, fine}},
			"GetBody":              {GetBody: func() (io.ReadCloser, error) { end(); return nil, nil }},
			"Read, after GetBody":  {GetBody: func() (io.ReadCloser, error) { return userBody{end, fine}, nil }},
			"Close, after GetBody": {GetBody: func() (io.ReadCloser, error) { return userBody{fine, end}, nil }},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					l := &ledger{}
					p := func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{}, nil }
					start := time.Now()
					runs(t, l, async.Spec{Proxy: p, Timeout: time.Minute}, l.asks(req), l.delivers("good"))
					assert.Equal(t, []string{"good"}, l.acked)
					require.Len(t, l.causes, 1)
					if how == "blocks" {
						assert.Equal(t, time.Minute, time.Since(start))
						assert.ErrorIs(t, l.causes[0], context.DeadlineExceeded)
						<-time.After(time.Hour) // the body has returned
						return
					}
					assert.Zero(t, time.Since(start))
					_, panicked := errors.AsType[*pipe.PanicError](l.causes[0])
					assert.True(t, panicked)
				})
			})
		}
	}
}

// proves H10
func TestAgentWorksOnACopyOfTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		req := proxy.NewRequest("POST", "/orders")
		req.Header["X-A"] = []string{"1"}
		req.Header["Connection"] = []string{"close"}
		p := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			req.Path = "/changed"
			req.Header["X-A"][0] = "changed"
			req.Upstream.Set("X-B", "changed")
			req.Query.Set("c", "changed")
			req.Params.Set("id", "changed")
			return &proxy.Response{}, nil
		}
		l := &ledger{}
		runs(t, l, async.Spec{Proxy: p}, l.asks(req))
		want := proxy.NewRequest("POST", "/orders")
		want.Header["X-A"] = []string{"1"}
		want.Header["Connection"] = []string{"close"}
		assert.Equal(t, want, req)
	})
}

// proves U2
func TestAgentChecksTheParamsOfAMessage(t *testing.T) {
	t.Parallel()
	with := func(name, value string) *proxy.Request {
		req := proxy.NewRequest("POST", "/")
		req.Params.Set(name, value)
		return req
	}
	rest := func(segments ...string) *proxy.Request {
		req := with("id", "1")
		req.Params.SetRest(segments...)
		return req
	}
	tests := []struct {
		name string
		req  *proxy.Request
		ok   bool
	}{
		{"as declared", rest("a", "b"), true},
		{"with what an URL would read otherwise", rest("a/b?c#d%2f;@", "{id}", "", "b", ""), true},
		{"another one too", func() *proxy.Request { r := rest("a"); r.Params.Set("more", "..."); return r }(), true},
		{"one is missing", func() *proxy.Request { r := rest("a"); r.Params.Delete("id"); return r }(), false},
		{"the rest is missing", with("id", "1"), false},
		{"an empty one", func() *proxy.Request { r := rest("a"); r.Params.Set("id", ""); return r }(), false},
		{"a dot", func() *proxy.Request { r := rest("a"); r.Params.Set("id", "."); return r }(), false},
		{"two dots", func() *proxy.Request { r := rest("a"); r.Params.Set("more", ".."); return r }(), false},
		{"two dots in the rest", rest("a", ".."), false},
		{"NUL", rest("a\x00"), false},
		{"CR", rest("a\r"), false},
		{"LF", rest("a\n"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				runs(t, l, async.Spec{Proxy: ok, Params: []string{"id", "*"}}, l.asks(tt.req))
				assert.Equal(t, tt.ok, len(l.acked) == 1)
				for _, cause := range l.causes {
					assert.Equal(t, 400, proxy.StatusOf(cause))
				}
			})
		})
	}
}

// proves H1, H2, H4, H5, H7
func TestAgentCleansTheHeadersOfAMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		req := proxy.NewRequest("POST", "/")
		req.Header = http.Header{
			"connection":          {"", "X-Secret , x-other"},
			"X-Secret":            {"1"},
			"x_secret":            {"1"},
			"X-Other":             {"1"},
			"Keep-Alive":          {"1"},
			"Proxy-Connection":    {"1"},
			"Proxy-Authorization": {"1"},
			"proxy-authenticate":  {"1"},
			"TE":                  {"trailers"},
			"Trailer":             {"X"},
			"Transfer_Encoding":   {"chunked"},
			"Upgrade":             {"h2c"},
			"HTTP2-Settings":      {"1"},
			"Content-Length":      {"5,5"},
			"Host":                {"evil"},
			"X-Forwarded-For":     {"1.2.3.4"},
			"x_forwarded_host":    {"evil"},
			"X-Forwarded_Proto":   {"https"},
			"Forwarded":           {"for=1.2.3.4"},
			"X-Real-Ip":           {"1.2.3.4"},
			"x_real_ip":           {"1.2.3.4"},
			"bad name":            {"1"},
			"bad\nname":           {"1"},
			"":                    {"1"},
			"X-Split":             {"a\r\nSet-Cookie: b", "good\tvalue", "nul\x00"},
			"x-user":              {"ann"},
			"X-User":              {"bob"},
			"Content-Type":        {"text/plain"},
			"Content-Encoding":    {"gzip"},
		}
		req.Upstream.Set("X-Forwarded-For", "ours")
		var seen *proxy.Request
		p := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			seen = req
			return &proxy.Response{}, nil
		}
		l := &ledger{}
		runs(t, l, async.Spec{Proxy: p}, l.asks(req))
		assert.Equal(t, http.Header{
			"Content-Encoding": {"gzip"},
			"Content-Type":     {"text/plain"},
			"X-Split":          {"good\tvalue"},
			"X-User":           {"bob", "ann"},
		}, seen.Header)
		assert.Equal(t, http.Header{"X-Forwarded-For": {"ours"}}, seen.Upstream, "what code says stays")
	})
}

// proves H1, H2, H4, H5
func TestATwinOfAManagedHeaderNeverReachesThePipe(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"X-Secret-Key", "Keep-Alive", "Proxy-Authorization", "Transfer-Encoding", "Alt-Svc", "Content-Length", "Content-Type",
		"X-Real-Ip", "X-Forwarded-For", "X-Forwarded-Anything"} {
		for _, c := range []string{"_", ".", "~"} {
			spelling := strings.ReplaceAll(name, "-", c)
			for _, connection := range []string{"x-secret-key", "X" + c + "Secret_key", strings.Repeat("a,b,", 200) + "X-Secret-Key"} {
				out := async.Clean(http.Header{spelling: {"1"}, "cONNECTION": {connection}, "X" + c + "kept": {"1"}})
				assert.Equal(t, http.Header{http.CanonicalHeaderKey("X" + c + "kept"): {"1"}}, out, spelling)
			}
		}
	}
}

// proves H7
func TestAValueWithAControlByteNeverReachesThePipe(t *testing.T) {
	t.Parallel()
	for c := range 0x80 {
		if bad := "a" + string(rune(c)) + "b"; c < ' ' && c != '\t' || c == 0x7f {
			assert.Equal(t, http.Header{"X-A": {"good"}}, async.Clean(http.Header{"X-A": {bad, "good"}, "X-B": {bad}}), "%#x", c)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("X-User", "ann", "close, X-User")
	f.Add("x_forwarded_for", "1.2.3.4", "")
	f.Add("a b", "c\r\nd", ",,")
	f.Fuzz(func(t *testing.T, name, value, connection string) {
		in := http.Header{name: {value, "x"}, "Connection": {"", connection}, "X-Kept": {"1"}}
		before := in.Clone()
		out := async.Clean(in)
		assert.Equal(t, before, in, "the source's headers are not changed")
		for name, values := range out {
			folded := strings.ToLower(field.Twin(name))
			for _, gone := range []string{"connection", "te", "upgrade", "transfer-encoding", "forwarded", "host", "content-length"} {
				assert.NotEqual(t, gone, folded)
			}
			assert.False(t, strings.HasPrefix(folded, "x-forwarded-"))
			for token := range strings.SplitSeq(connection, ",") {
				token = strings.Trim(token, " \t\r\n")
				assert.False(t, token != "" && field.AreTwins(name, token), "%q", token)
			}
			assert.Equal(t, http.CanonicalHeaderKey(name), name)
			assert.False(t, !field.AreValues(values))
			for _, v := range values {
				assert.Contains(t, []string{value, "x", "1"}, v, "nothing is made up")
			}
		}
	})
}

// proves O18
func TestAMessageThatTheSourceCannotReadFailsAsWhatItIs(t *testing.T) {
	t.Parallel()
	garbled := errors.New("garbled envelope")
	tests := []struct {
		name   string
		err    error
		status int
	}{
		{"an error", garbled, 400},
		{"an error with a status", &proxy.Error{Status: 413, Err: garbled}, 413},
		{"an error with a status inside", fmt.Errorf("source: %w", &proxy.Error{Status: 422, Err: garbled}), 422},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				m := l.message("1")
				m.Attempt, m.Err = 3, tt.err
				b := &body{Reader: strings.NewReader("x")}
				m.Request.Body = b
				bare := l.message("2")
				bare.Request, bare.Err = nil, tt.err
				p := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
					assert.Equal(t, "/3", req.Path, "only what can be read is processed")
					return &proxy.Response{}, nil
				}
				runs(t, l, async.Spec{Name: "mail", Proxy: p}, gives(m), gives(bare), l.delivers("3"))
				assert.Equal(t, []string{"1", "2"}, l.nacked)
				assert.Equal(t, []string{"3"}, l.acked, "the agent goes on")
				require.Len(t, l.reports, 2)
				for i, cause := range l.causes {
					assert.ErrorIs(t, cause, garbled)
					assert.Equal(t, tt.status, proxy.StatusOf(cause))
					failure, isMessage := errors.AsType[*async.MessageError](l.reports[i])
					require.True(t, isMessage)
					assert.Equal(t, cause, failure.Err)
				}
				assert.Contains(t, l.reports[0].Error(), `agent mail: message "1" (attempt 3): message: `)
				assert.Equal(t, int32(1), b.closes.Load())
			})
		})
	}
	t.Run("an error that panics", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			l := &ledger{}
			m := l.message("1")
			m.Err = (*hollow)(nil)
			runs(t, l, async.Spec{Proxy: ok}, gives(m), l.delivers("2"))
			assert.Equal(t, []string{"1"}, l.nacked)
			assert.Equal(t, []string{"2"}, l.acked)
		})
	})
}
