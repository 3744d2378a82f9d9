package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answers returns a proxy that answers with a document after a delay, and honours its context.
func answers(t testing.TB, after time.Duration, doc string) proxy.Proxy {
	d, err := document.Parse([]byte(doc))
	require.NoError(t, err)
	return func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		select {
		case <-time.After(after):
			return &proxy.Response{Status: http.StatusOK, Document: d}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func fails(err error) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, err }
}

// deaf answers when release is closed, and ignores its context.
func deaf(release <-chan struct{}, res func() *proxy.Response) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) {
		<-release
		return res(), nil
	}
}

// proves M36, M1
func TestMergeKeepsTheDeclaredOrderWhateverArrivesFirst(t *testing.T) {
	t.Parallel()
	for _, delays := range [][3]time.Duration{{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}} {
		synctest.Test(t, func(t *testing.T) {
			page := proxy.Merge(
				proxy.Part{Proxy: answers(t, delays[0]*time.Second, `{"a":1,"x":"a"}`)},
				proxy.Grouped("b", answers(t, delays[1]*time.Second, `[1,2.50]`)),
				proxy.Part{Proxy: answers(t, delays[2]*time.Second, `{"c":3,"x":"c"}`)},
			)
			start := time.Now()
			res, err := page(t.Context(), proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
			defer res.Close()
			assert.Equal(t, `{"a":1,"x":"c","b":[1,2.50],"c":3}`, res.Document.String())
			assert.Equal(t, 3*time.Second, time.Since(start))
			assert.NoError(t, res.Err)
		})
	}
}

// proves T3, M2, M3
func TestMergeAnswersWithoutAnOptionalPartBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		page := proxy.Merge(
			proxy.Part{Proxy: answers(t, 0, `{"a":1}`)},
			proxy.Part{Name: "deaf", Optional: true, Proxy: deaf(release, func() *proxy.Response { return &proxy.Response{} })},
		)
		var scope call.Scope
		ctx, cancel := context.WithTimeout(scope.Context(t.Context()), time.Second)
		defer cancel()
		start := time.Now()
		res, err := page(ctx, proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		assert.Equal(t, 900*time.Millisecond, time.Since(start), "a tenth before the deadline")
		assert.Equal(t, `{"a":1}`, res.Document.String())
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(res.Err))
		assert.Equal(t, 1, scope.Abandoned())
		close(release)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
	})
}

func TestMergeFailsWithTheRequiredPartThatFailedFirst(t *testing.T) {
	t.Parallel()
	after := func(d time.Duration, err error) proxy.Proxy {
		return func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			select {
			case <-time.After(d):
				return nil, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		boom := &proxy.Error{Status: 404, Backend: "b", Err: errors.New("boom")}
		page := proxy.Merge(
			proxy.Part{Name: "a", Proxy: after(2*time.Second, &proxy.Error{Status: 500, Err: errors.New("later")})},
			proxy.Part{Name: "b", Proxy: after(time.Second, boom)},
			proxy.Part{Name: "c", Proxy: after(0, errors.New("optional")), Optional: true},
		)
		start := time.Now()
		res, err := page(t.Context(), get())
		assert.Nil(t, res)
		assert.EqualError(t, err, "merge: backend b: boom", "a backend that names itself is not named again")
		assert.Equal(t, 404, proxy.StatusOf(err))
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// proves M36
func TestMergeJoinsWhatTheDeadlineEndedInDeclaredOrder(t *testing.T) {
	t.Parallel()
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			page := proxy.Merge(
				proxy.Part{Name: "a", Proxy: answers(t, time.Hour, `{}`)},
				proxy.Part{Name: "b", Proxy: answers(t, 0, `{}`)},
				proxy.Part{Name: "c", Proxy: sure(answers(t, time.Hour, `{}`))},
			)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := page(ctx, get())
			assert.Regexp(t, `(?s)^merge: part a: .*part c: context deadline exceeded$`, err.Error())
			assert.Equal(t, 504, proxy.StatusOf(err))
		})
	}
}

// proves M36
func TestMergeJoinsWhatIsMissingInDeclaredOrder(t *testing.T) {
	t.Parallel()
	for _, delays := range [][3]time.Duration{{1, 2, 3}, {2, 1, 3}, {3, 1, 2}, {3, 2, 1}} {
		synctest.Test(t, func(t *testing.T) {
			parts := []proxy.Part{{Proxy: answers(t, 0, `{"a":1}`)}}
			for i, d := range delays {
				parts = append(parts, proxy.Part{Optional: true, Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
					<-time.After(d * time.Second)
					return nil, fmt.Errorf("failure %d", i)
				}})
			}
			res, err := proxy.Merge(parts...)(t.Context(), get())
			require.NoError(t, err)
			assert.EqualError(t, res.Err, "part 2: failure 0\npart 3: failure 1\npart 4: failure 2")
			assert.Equal(t, `{"a":1}`, res.Document.String())
		})
	}
}

func TestMergeOfOptionalPartsThatAllFailIsTheError(t *testing.T) {
	t.Parallel()
	gone := proxy.Part{Name: "a", Optional: true, Proxy: fails(&proxy.Error{Status: 404, Err: errors.New("gone")})}
	down := proxy.Part{Name: "b", Optional: true, Proxy: fails(&proxy.Error{Status: 503, Err: errors.New("down")})}
	_, err := proxy.Merge(gone, down)(t.Context(), get())
	assert.EqualError(t, err, "merge: part a: gone\npart b: down")
	assert.Equal(t, 503, proxy.StatusOf(err))

	skipped := proxy.Part{Name: "c", Optional: true, Proxy: answers(t, 0, `{}`), When: never}
	res, err := proxy.Merge(gone, skipped)(t.Context(), get())
	require.NoError(t, err, "a part that was skipped has not failed")
	assert.Equal(t, `{}`, res.Document.String())
	assert.EqualError(t, res.Err, "part a: gone")
}

func never(context.Context, *proxy.Request) bool { return false }

func TestMergeSkipsAPartWhoseConditionDoesNotHold(t *testing.T) {
	t.Parallel()
	called := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		t.Error("called")
		return nil, errors.New("called")
	})
	admin := func(_ context.Context, r *proxy.Request) bool { return r.Header.Get("Role") == "admin" }
	page := proxy.Merge(proxy.Part{Proxy: answers(t, 0, `{"a":1}`)}, proxy.Part{Proxy: called, When: admin})
	res, err := page(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `{"a":1}`, res.Document.String())
	assert.NoError(t, res.Err, "it is not missing")

	res, err = proxy.Merge(proxy.Part{Proxy: called, When: never}, proxy.Part{Proxy: called, When: never, Optional: true})(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `{}`, res.Document.String())
	assert.NoError(t, res.Err)

	req := get()
	req.Header.Set("Role", "admin")
	res, err = proxy.Merge(proxy.Part{Proxy: answers(t, 0, `{"b":2}`), When: admin})(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, `{"b":2}`, res.Document.String())
}

// proves M33
func TestTheConditionOfAPartRunsOnItsCopy(t *testing.T) {
	t.Parallel()
	req := fullRequest()
	writes := func(_ context.Context, r *proxy.Request) bool { write(r, "x"); return true }
	_, err := proxy.Merge(
		proxy.Part{Proxy: answers(t, 0, `{}`), When: writes},
		proxy.Part{Proxy: answers(t, 0, `{}`), When: writes})(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "2"}, req.Header["A"])
}

// proves M15
func TestGroupedTakesAnyRoot(t *testing.T) {
	t.Parallel()
	for _, root := range []string{`{"x":1}`, `[1,2.50]`, `"text"`, `-0.10e3`, `true`, `null`} {
		res, err := proxy.Merge(proxy.Grouped("g", answers(t, 0, root)))(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, `{"g":`+root+`}`, res.Document.String())
	}
	absent := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 204}, nil
	})
	res, err := proxy.Merge(proxy.Grouped("g", absent))(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `{}`, res.Document.String(), "nothing is no member")

	for _, p := range []proxy.Proxy{fails(errors.New("boom")), func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil }} {
		_, err = proxy.Merge(proxy.Grouped("g", p))(t.Context(), get())
		assert.ErrorContains(t, err, "part g: ")
	}
}

// proves M17
func TestMergeExposesTheHeadersThatPartsName(t *testing.T) {
	t.Parallel()
	with := func(h http.Header) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{Header: h}, nil }
	}
	page := proxy.Merge(
		proxy.Part{Proxy: with(http.Header{"Set-Cookie": {"a=1", "b=2"}, "Etag": {"x"}, "X-A": {"1"}}), Expose: []string{"set-cookie", "X-Missing"}},
		proxy.Part{Proxy: with(http.Header{"Set-Cookie": {"c=3"}, "X-A": {"2"}})},
		proxy.Part{Proxy: with(http.Header{"Set-Cookie": {"d=4"}, "X-A": {"3"}}), Expose: []string{"X-A", "Set-Cookie"}},
		proxy.Part{Proxy: with(nil), Expose: []string{"X-A"}},
	)
	for range 20 {
		res, err := page(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, http.Header{"Set-Cookie": {"a=1", "b=2", "d=4"}, "X-A": {"3"}}, res.Header, "in declared order")
	}
	res, err := proxy.Merge(proxy.Part{Proxy: with(http.Header{"X": {"1"}})})(t.Context(), get())
	require.NoError(t, err)
	assert.Empty(t, res.Header, "none by default")
}

// proves D12
func TestOptionalPartsEndEarlyOncePerDeadline(t *testing.T) {
	t.Parallel()
	hangs := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	optional := func(p proxy.Proxy) proxy.Part { return proxy.Part{Name: "optional", Proxy: p, Optional: true} }
	quick := func(t *testing.T) proxy.Part { return proxy.Part{Name: "quick", Proxy: answers(t, 0, `{"q":1}`)} }
	within := func(d time.Duration) proxy.Decorator {
		return func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, r *proxy.Request) (*proxy.Response, error) {
				e := call.After(ctx, d)
				defer e.Cancel()
				return next(e, r)
			}
		}
	}
	tests := []struct {
		name    string
		timeout time.Duration
		page    func(t *testing.T) proxy.Proxy
		took    time.Duration
		doc     string
	}{
		{"a tenth", time.Second, func(t *testing.T) proxy.Proxy { return proxy.Merge(quick(t), optional(hangs)) }, 900 * time.Millisecond, `{"q":1}`},
		{"at most 250 ms", 10 * time.Second, func(t *testing.T) proxy.Proxy { return proxy.Merge(quick(t), optional(hangs)) }, 9750 * time.Millisecond, `{"q":1}`},
		{"of what is left", 2 * time.Second, func(t *testing.T) proxy.Proxy {
			page := proxy.Merge(quick(t), optional(hangs))
			return func(ctx context.Context, r *proxy.Request) (*proxy.Response, error) {
				<-time.After(time.Second)
				return page(ctx, r)
			}
		}, 1900 * time.Millisecond, `{"q":1}`},
		{"required parts have it all", time.Second, func(t *testing.T) proxy.Proxy {
			return proxy.Merge(proxy.Part{Proxy: answers(t, 999*time.Millisecond, `{"r":1}`)}, optional(hangs))
		}, 999 * time.Millisecond, `{"r":1}`},
		{"nested in a required part", time.Second, func(t *testing.T) proxy.Proxy {
			return proxy.Merge(quick(t), proxy.Part{Name: "nested", Proxy: proxy.Merge(proxy.Part{Proxy: answers(t, 0, `{"n":1}`)}, optional(hangs))})
		}, 900 * time.Millisecond, `{"q":1,"n":1}`},
		{"nested in an optional part, not twice", time.Second, func(t *testing.T) proxy.Proxy {
			nested := proxy.Merge(proxy.Part{Name: "late", Proxy: answers(t, 899*time.Millisecond, `{"n":1}`)}, proxy.Part{Optional: true, Proxy: answers(t, 899*time.Millisecond, `{"o":1}`)})
			return proxy.Merge(quick(t), optional(nested))
		}, 899 * time.Millisecond, `{"q":1,"n":1,"o":1}`},
		{"nested with an earlier deadline of its own", time.Second, func(t *testing.T) proxy.Proxy {
			nested := proxy.Merge(proxy.Part{Proxy: answers(t, 0, `{"n":1}`)}, optional(hangs)).With(within(500 * time.Millisecond))
			return proxy.Merge(quick(t), optional(nested))
		}, 450 * time.Millisecond, `{"q":1,"n":1}`},
		{"nested with a later deadline of its own", time.Second, func(t *testing.T) proxy.Proxy {
			nested := proxy.Merge(proxy.Part{Name: "late", Proxy: answers(t, 899*time.Millisecond, `{"n":1}`)}, proxy.Part{Optional: true, Proxy: answers(t, 899*time.Millisecond, `{"o":1}`)})
			return proxy.Merge(quick(t), optional(nested.With(within(time.Minute))))
		}, 899 * time.Millisecond, `{"q":1,"n":1,"o":1}`},
		{"without a deadline there is no end", 0, func(t *testing.T) proxy.Proxy {
			return proxy.Merge(quick(t), optional(answers(t, time.Hour, `{"o":1}`)))
		}, time.Hour, `{"q":1,"o":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := t.Context(), func() {}
				if tt.timeout > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
				}
				defer cancel()
				page := tt.page(t)
				start := time.Now()
				res, err := page(ctx, get())
				require.NoError(t, err)
				assert.Equal(t, tt.took, time.Since(start))
				assert.Equal(t, tt.doc, res.Document.String())
			})
		})
	}
}

func TestAPartialAnswerInsideAMergeMakesItPartial(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	nested := proxy.Merge(proxy.Part{Proxy: answers(t, 0, `{"n":1}`)}, proxy.Part{Name: "inner", Proxy: fails(boom), Optional: true})
	page := proxy.Merge(proxy.Part{Name: "first", Proxy: fails(errors.New("first")), Optional: true}, proxy.Grouped("g", nested), proxy.Part{Name: "last", Proxy: fails(errors.New("last")), Optional: true})
	res, err := page(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `{"g":{"n":1}}`, res.Document.String())
	assert.ErrorIs(t, res.Err, boom)
	assert.EqualError(t, res.Err, "part first: first\npart g: part inner: boom\npart last: last")
}

// proves C3
func TestMergeReplaysTheBodyForEveryPart(t *testing.T) {
	t.Parallel()
	reads := proxy.Proxy(func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		doc, err := document.Of(string(b))
		return &proxy.Response{Document: doc}, err
	})
	parsed := proxy.Proxy(func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
		doc, err := r.Document()
		return &proxy.Response{Document: doc}, err
	})
	req, opened := withBody(`[1]`)
	page := proxy.Merge(proxy.Grouped("a", reads), proxy.Grouped("b", sure(reads)), proxy.Grouped("c", parsed), proxy.Grouped("d", parsed))
	res, err := page(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, `{"a":"[1]","b":"[1]","c":[1],"d":[1]}`, res.Document.String())
	assert.Len(t, *opened, 5, "one for each part, one to parse it once")
	assertClosedOnce(t, *opened...)
	body := req.Body.(*countedBody)
	assert.Zero(t, body.closed.Load(), "the original belongs to who made it")
}

// proves M25, C3
func TestMergeRefusesABodyThatCannotBeReplayed(t *testing.T) {
	t.Parallel()
	called := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		t.Error("called")
		return nil, errors.New("called")
	})
	page := proxy.Merge(proxy.Part{Proxy: called, Optional: true}, proxy.Part{Proxy: called, Optional: true})
	req := get()
	req.Body = newBody("once")
	_, err := page(t.Context(), req)
	assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)

	boom := errors.New("boom")
	req, opened := withBody("x")
	getBody := req.GetBody
	req.GetBody = func() (io.ReadCloser, error) {
		if len(*opened) == 1 {
			return nil, boom
		}
		return getBody()
	}
	_, err = page(t.Context(), req)
	assert.ErrorIs(t, err, boom)
	assertClosedOnce(t, *opened...)

	req, opened = withBody("x")
	getBody = req.GetBody
	req.GetBody = func() (io.ReadCloser, error) {
		if len(*opened) == 1 {
			panic(boom)
		}
		return getBody()
	}
	_, err = page.With(pipe.Recover)(t.Context(), req)
	assert.ErrorIs(t, err, boom)
	assertClosedOnce(t, *opened...)
}

func TestMergeOfOnePartHandsTheBodyOn(t *testing.T) {
	t.Parallel()
	body := newBody(`"once"`)
	req := get()
	req.Body = body
	page := proxy.Merge(proxy.Grouped("a", func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return &proxy.Response{Document: asDocument(t, string(b))}, nil
	}))
	res, err := page(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, `{"a":"once"}`, res.Document.String())
	assert.Zero(t, body.closed.Load())
}

// proves O11
func TestAPartIsShapedBeforeTheMergeAndTheMergeAfterwards(t *testing.T) {
	t.Parallel()
	adds := func(name string) proxy.Decorator {
		return func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, r *proxy.Request) (*proxy.Response, error) {
				res, err := next(ctx, r)
				if err == nil {
					res.Document = res.Document.Wrap(name)
				}
				return res, err
			}
		}
	}
	page := proxy.Merge(
		proxy.Part{Proxy: answers(t, 0, `{"a":1}`).With(adds("part"))},
		proxy.Part{Proxy: fails(errors.New("boom")).With(adds("lost")), Optional: true},
	).With(adds("page"))
	res, err := page(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `{"page":{"part":{"a":1}}}`, res.Document.String())
	assert.Error(t, res.Err, "both run on a partial answer too")
}
