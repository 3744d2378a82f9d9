package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bound returns a sequence of two stages, and the params that the second one was called with. The
// stage "user" answers with the document; the stage "orders" binds a param to the path in it.
func bound(t testing.TB, doc, path string, optional bool) (page proxy.Proxy, got *[]string) {
	got = new([]string)
	return proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: says(t, doc), Group: "user"},
		proxy.Stage{Name: "orders", Optional: optional, Bind: []proxy.Binding{proxy.Bind("account", "user", path)},
			Proxy: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
				*got = append(*got, req.Params.Get("account"))
				return &proxy.Response{}, nil
			}},
	), got
}

// proves U3, U7, M8
func TestBindTakesAScalarAsItIsAndNothingElse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, doc, path string
		want            string
		fault           string // the beginning of the error after the path
		is              error
	}{
		{name: "a string", doc: `{"account":{"id":"a-1"}}`, path: "account.id", want: "a-1"},
		{name: "a number, digit for digit", doc: `{"id":10000000000000000001.50}`, path: "id", want: "10000000000000000001.50"},
		{name: "a bool", doc: `{"id":false}`, path: "id", want: "false"},
		{name: "of an array", doc: `[{"id":1},{"id":2}]`, path: "1.id", want: "2"},
		{name: "the last of equal names", doc: `{"id":1,"\u0069d":2}`, path: "id", want: "2"},
		{name: "what looks like a placeholder", doc: `{"id":"{id}{{.B}}$1%2e"}`, path: "id", want: "{id}{{.B}}$1%2e"},
		{name: "what has to be escaped", doc: `{"id":"a/../b?c#d;@ \u00e9"}`, path: "id", want: "a/../b?c#d;@ é"},
		{name: "three dots", doc: `{"id":"..."}`, path: "id", want: "..."},

		{name: "missing", doc: `{}`, path: "account.id", fault: "no document", is: document.ErrAbsent},
		{name: "a scalar in the way", doc: `{"account":7}`, path: "account.id", fault: "no document", is: document.ErrAbsent},
		{name: "null", doc: `{"id":null}`, path: "id", fault: "the value is of kind null, not a scalar"},
		{name: "an object", doc: `{"id":{"x":"secret"}}`, path: "id", fault: "the value is of kind object, not a scalar"},
		{name: "an array", doc: `{"id":[1]}`, path: "id", fault: "the value is of kind array, not a scalar"},
		{name: "empty", doc: `{"id":""}`, path: "id", fault: "the value is empty"},
		{name: "a dot", doc: `{"id":"."}`, path: "id", fault: `the value is "." or ".."`},
		{name: "two dots", doc: `{"id":".."}`, path: "id", fault: `the value is "." or ".."`},
		{name: "NUL", doc: `{"id":"a\u0000"}`, path: "id", fault: "the value holds NUL, CR or LF"},
		{name: "CR", doc: `{"id":"a\rb"}`, path: "id", fault: "the value holds NUL, CR or LF"},
		{name: "LF", doc: `{"id":"a\nb"}`, path: "id", fault: "the value holds NUL, CR or LF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			page, got := bound(t, tt.doc, tt.path, false)
			req := get()
			req.Params.Set("account", "of the route")
			_, err := page(t.Context(), req)
			assert.Equal(t, "of the route", req.Params.Get("account"))
			if tt.fault == "" {
				require.NoError(t, err)
				assert.Equal(t, []string{tt.want}, *got)
				return
			}
			assert.Empty(t, *got, "the stage is not called")
			assert.ErrorContains(t, err, "sequence: stage orders: bind account: "+tt.path+" of stage user: "+tt.fault)
			assert.Equal(t, 502, proxy.StatusOf(err), "the client is not at fault")
			fault, ok := errors.AsType[*proxy.BindError](err)
			require.True(t, ok)
			assert.Equal(t, proxy.BindError{Param: "account", Stage: "user", Path: tt.path, Err: fault.Err}, *fault)
			assert.NotContains(t, err.Error(), "secret")
			if tt.is != nil {
				assert.ErrorIs(t, err, tt.is)
			}

			page, got = bound(t, tt.doc, tt.path, true)
			res, err := page(t.Context(), get())
			require.NoError(t, err)
			assert.Empty(t, *got)
			assert.ErrorContains(t, res.Err, "stage orders: bind account: "+tt.path+" of stage user: "+tt.fault)
			assert.Equal(t, 502, proxy.StatusOf(res.Err))
		})
	}
}

// proves M15, U7
func TestAStageThatBindsToOneThatGaveNothing(t *testing.T) {
	t.Parallel()
	boom := &proxy.Error{Status: 404, Err: errors.New("boom")}
	no := func(context.Context, *proxy.Request, proxy.Results) bool { return false }
	tests := []struct {
		name    string
		user    proxy.Stage
		fault   string // the error of a required stage that binds to it
		missing string // from the answer, if the stage that binds is optional
	}{
		{"failed", proxy.Stage{Optional: true, Proxy: fails(boom)}, "the stage failed: boom", "stage user: boom"},
		{"skipped", proxy.Stage{When: no, Proxy: notCalled(t)}, "the stage was skipped: no document", ""},
		{"absent", proxy.Stage{Proxy: called(func() (*proxy.Response, error) { return &proxy.Response{Status: 204}, nil })}, "no document",
			"stage orders: bind account: id of stage user: no document"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.user.Name = "user"
			orders := proxy.Stage{Name: "orders", Proxy: notCalled(t), Bind: []proxy.Binding{proxy.Bind("account", "user", "id")}}
			_, err := proxy.Sequence(tt.user, orders, proxy.Stage{Name: "c", Proxy: notCalled(t)})(t.Context(), get())
			assert.EqualError(t, err, "sequence: stage orders: bind account: id of stage user: "+tt.fault)
			assert.Equal(t, 502, proxy.StatusOf(err))

			var before proxy.Results
			orders.Optional = true
			behind := proxy.Stage{Name: "behind", Proxy: notCalled(t), Optional: true, Bind: []proxy.Binding{proxy.Bind("x", "orders", "id")}}
			res, err := proxy.Sequence(tt.user, orders, behind, proxy.Stage{Name: "c", Proxy: says(t, `{"c":3}`),
				Prepare: func(_ context.Context, _ *proxy.Request, rs proxy.Results) error { before = rs; return nil }})(t.Context(), get())
			require.NoError(t, err)
			assert.Equal(t, `{"c":3}`, res.Document.String())
			if tt.missing == "" {
				assert.NoError(t, res.Err)
			} else {
				assert.EqualError(t, res.Err, tt.missing, "said once")
			}
			assert.True(t, before[2].Skipped, "and so is what depends on it in turn")
		})
	}
}

// proves M21
func TestAPanicThatIsInTheErrorOfABindingIsNotReportedTwice(t *testing.T) {
	t.Parallel()
	ctx, _, reported := reports(t.Context())
	_, err := proxy.Sequence(
		proxy.Stage{Name: "user", Optional: true, Proxy: called(func() (*proxy.Response, error) { panic("bug") })},
		proxy.Stage{Name: "orders", Proxy: notCalled(t), Bind: []proxy.Binding{proxy.Bind("account", "user", "id")}},
	)(ctx, get())
	assert.EqualError(t, err, "sequence: stage orders: bind account: id of stage user: the stage failed: panic: bug")
	assert.Equal(t, 502, proxy.StatusOf(err))
	assert.Empty(t, reported)
}

// FuzzBind binds any string. Either the string arrives byte for byte, or the stage fails with the
// status of a faulty upstream.
//
// proves U3, U7
func FuzzBind(f *testing.F) {
	for _, s := range []string{"a-1", "", ".", "..", "a/b", "{id}", "%2e%2e", "a\x00", "a\r\nX: y", "\u2028", "é", `"\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		text, err := json.Marshal(map[string]string{"id": s})
		require.NoError(t, err)
		page, got := bound(t, string(text), "id", false)
		_, err = page(t.Context(), get())
		if s != "" && field.ValidSegment(s) {
			require.NoError(t, err)
			assert.Equal(t, []string{s}, *got)
			return
		}
		assert.Empty(t, *got)
		assert.Equal(t, 502, proxy.StatusOf(err))
		var fault *proxy.BindError
		assert.ErrorAs(t, err, &fault)
	})
}
