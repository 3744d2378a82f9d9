package auth_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestACallerWithoutClaimsIsKnownByIDAndRoles(t *testing.T) {
	t.Parallel()
	claims := auth.Claims(auth.Claim{Path: "sub", Header: "X-User", Param: "user"}, auth.Claim{Path: "roles", Header: "X-Roles", List: true},
		auth.Claim{Path: "account", Header: "X-Account"})
	caller := &proxy.Caller{ID: "acme", Scheme: "legacy", Roles: []string{"reader", "writer"}}
	req, err := through(t.Context(), get(), withCaller(caller), claims)
	require.NoError(t, err)
	assert.Equal(t, http.Header{"X-User": {"acme"}, "X-Roles": {"reader,writer"}}, req.Upstream)
	assert.Equal(t, "acme", req.Params.Get("user"))
	assert.True(t, req.Caller.Claims.IsZero(), "the caller is as it was")

	for name, id := range map[string]string{"nobody": "", "two segments": "..", "no text": "a\xff", "two lines": "a\nb"} {
		_, err := through(t.Context(), get(), withCaller(&proxy.Caller{ID: id}), claims)
		assert.Equal(t, http.StatusForbidden, proxy.StatusOf(err), name)
	}
	said := claiming(`{"roles":["reader"]}`) // a credential that does not say who has it
	req, err = through(t.Context(), get(), withCaller(said), auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}))
	require.NoError(t, err)
	assert.Empty(t, req.Upstream)
}

func TestClaimsBecomeHeaders(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		claim  string // "" is none
		list   bool
		want   string // "" is no header
		denied bool
	}{
		{name: "text", claim: `"ada"`, want: "ada"},
		{name: "text with blanks", claim: `"Ada Lovelace"`, want: "Ada Lovelace"},
		{name: "text with a comma", claim: `"Lovelace, Ada"`, want: "Lovelace, Ada"},
		{name: "text of other letters", claim: `"Ærøskøbing 東京"`, want: "Ærøskøbing 東京"},
		{name: "number", claim: `17`, want: "17"},
		{name: "number as it is spelled", claim: `1.50e2`, want: "1.50e2"},
		{name: "bool", claim: `false`, want: "false"},
		{name: "absent"},
		{name: "null", claim: `null`},
		{name: "empty", claim: `""`},
		{name: "array", claim: `["reader","writer",3]`, want: "reader,writer,3"},
		{name: "empty array", claim: `[]`},
		{name: "list of an array", claim: `["reader","writer"]`, list: true, want: "reader,writer"},
		{name: "list of a text", claim: `"reader  writer"`, list: true, want: "reader,writer"},
		{name: "list of one", claim: `"reader"`, list: true, want: "reader"},
		{name: "list of an empty text", claim: `""`, list: true},
		{name: "list of blanks", claim: `"  "`, list: true},
		{name: "list of a number", claim: `3`, list: true, want: "3"},

		{name: "object", claim: `{"a":1}`, denied: true},
		{name: "array in an array", claim: `["a",["admin"]]`, denied: true},
		{name: "object in an array", claim: `["a",{}]`, denied: true},
		{name: "null in an array", claim: `["a",null]`, denied: true},
		{name: "comma in an array", claim: `["reader,admin"]`, denied: true},
		{name: "comma in a list", claim: `"reader,admin"`, list: true, denied: true},
		{name: "nothing in an array", claim: `["a",""]`, denied: true},
		{name: "blank in front in an array", claim: `["a"," admin"]`, denied: true},
		{name: "another blank in a list", claim: `"reader\u00a0admin"`, list: true, denied: true},
		{name: "blank in front", claim: `" ada"`, denied: true},
		{name: "blank behind", claim: `"ada "`, denied: true},
		{name: "CRLF", claim: `"ada\r\nX-Admin: 1"`, denied: true},
		{name: "LF", claim: `"ada\nb"`, denied: true},
		{name: "NUL", claim: `"ada\u0000"`, denied: true},
		{name: "tab", claim: `"ada\tb"`, denied: true},
		{name: "DEL", claim: `"ada\u007f"`, denied: true},
		{name: "C1", claim: `"ada\u0085b"`, denied: true},
		{name: "no width", claim: `"ada\u200b"`, denied: true},
		{name: "direction", claim: `"\u202eada"`, denied: true},
		{name: "line separator", claim: `"a\u2028b"`, denied: true},
		{name: "CRLF in an array", claim: `["a\r\nb"]`, denied: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			claims := `{"other":1}`
			if tt.claim != "" {
				claims = `{"user":{"id":` + tt.claim + `}}`
			}
			req, err := through(t.Context(), get(), withCaller(claiming(claims)),
				auth.Claims(auth.Claim{Path: "user.id", Header: "X-User", List: tt.list}))
			if tt.denied {
				assert.Nil(t, req)
				assert.ErrorIs(t, err, auth.ErrDenied)
				assert.Equal(t, http.StatusForbidden, proxy.StatusOf(err))
				assert.NotContains(t, err.Error(), "ada", "an error does not show the value")
				return
			}
			require.NoError(t, err)
			want := http.Header{}
			if tt.want != "" {
				want["X-User"] = []string{tt.want}
			}
			assert.Equal(t, want, req.Upstream)
		})
	}
}

func TestClaimsBecomeParams(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, claim, want string
		denied            bool
	}{
		{name: "text", claim: `"a-7"`, want: "a-7"},
		{name: "number", claim: `7`, want: "7"},
		{name: "what is escaped later", claim: `"a/b?c#d%2e;é"`, want: "a/b?c#d%2e;é"},
		{name: "absent", denied: true},
		{name: "null", claim: `null`, denied: true},
		{name: "empty", claim: `""`, denied: true},
		{name: "dot", claim: `"."`, denied: true},
		{name: "dots", claim: `".."`, denied: true},
		{name: "NUL", claim: `"a\u0000"`, denied: true},
		{name: "CRLF", claim: `"a\r\nb"`, denied: true},
		{name: "array", claim: `["a"]`, denied: true},
		{name: "object", claim: `{"a":"b"}`, denied: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			claims := `{}`
			if tt.claim != "" {
				claims = `{"account":` + tt.claim + `}`
			}
			sent := get()
			sent.Params.Set("account", "of the client")
			req, err := through(t.Context(), sent, withCaller(claiming(claims)), auth.Claims(auth.Claim{Path: "account", Param: "account"}))
			if tt.denied {
				assert.Nil(t, req)
				assert.ErrorIs(t, err, auth.ErrDenied)
				assert.Equal(t, http.StatusForbidden, proxy.StatusOf(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, req.Params.Get("account"))
			assert.Empty(t, req.Upstream)
		})
	}
}

// proves H5, H6
func TestTheClientCannotSetTheHeaderOfAClaim(t *testing.T) {
	t.Parallel()
	twins := []string{"X-User", "X_User", "X.User", "X~user", "x-user", "X|User", "X!USER", "X'User"}
	callers := map[string]*proxy.Caller{"with the claim": claiming(`{"sub":"ada"}`), "without the claim": claiming(`{}`),
		"without claims": {ID: "ada"}, "without anything": {}, "nobody": nil, "with null": claiming(`{"sub":null}`)}
	for name, caller := range callers {
		for _, twin := range twins {
			sent := get("X-Other", "kept")
			sent.Header[twin] = []string{"admin"}
			sent.Upstream[twin] = []string{"admin"}
			req, err := through(t.Context(), sent, withCaller(caller), auth.Claims(auth.Claim{Path: "sub", Header: "x-user"}))
			require.NoError(t, err)
			assert.Equal(t, http.Header{"X-Other": {"kept"}}, req.Header, "%s, %s", name, twin)
			want := http.Header{}
			if name == "with the claim" || name == "without claims" { // then it is the ID
				want["X-User"] = []string{"ada"}
			}
			assert.Equal(t, want, req.Upstream, "%s, %s", name, twin)
		}
	}
}

func TestAParamWithoutCallerIsDenied(t *testing.T) {
	t.Parallel()
	req, err := through(t.Context(), get("X-User", "admin"), auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}, auth.Claim{Path: "a", Param: "a"}))
	assert.Nil(t, req)
	assert.Equal(t, http.StatusForbidden, proxy.StatusOf(err))
}

// Each of the naughty strings arrives at the upstream byte for byte, or the call is denied.
//
// proves H7
func TestNaughtyClaims(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../proxy/document/testdata/blns/blns.json")
	require.NoError(t, err)
	var naughty []string
	require.NoError(t, json.Unmarshal(b, &naughty))
	require.Greater(t, len(naughty), 400)
	passed := 0
	for _, s := range naughty {
		passed += naughtyClaim(t, s)
	}
	assert.Greater(t, passed, 2*300, "most are harmless")
}

func FuzzClaims(f *testing.F) {
	for _, s := range []string{"", "ada", "a\r\nb", "a,b", " a", "\x00", "é", "..", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { naughtyClaim(t, s) })
}

// naughtyClaim sends a text as a header, as one of a list, and as a param, and returns how many of the
// last two arrived.
func naughtyClaim(t *testing.T, s string) (passed int) {
	doc, err := document.Of(map[string]any{"sub": s, "list": []string{"a", s, "b"}})
	require.NoError(t, err)
	s, _ = doc.Get(document.MustPath("sub")).Text() // as JSON can say it
	caller := &proxy.Caller{ID: "ada", Claims: doc}
	if req, err := through(t.Context(), get(), withCaller(caller), auth.Claims(auth.Claim{Path: "sub", Header: "X-User"})); err == nil {
		assert.Equal(t, s, sentOver(t, req.Upstream).Get("X-User"))
	} else {
		assert.Equal(t, http.StatusForbidden, proxy.StatusOf(err), "%q", s)
	}
	if req, err := through(t.Context(), get(), withCaller(caller), auth.Claims(auth.Claim{Path: "list", Header: "X-Roles"})); err == nil {
		assert.Equal(t, []string{"a", s, "b"}, strings.Split(sentOver(t, req.Upstream).Get("X-Roles"), ","))
		passed++
	} else {
		assert.Equal(t, http.StatusForbidden, proxy.StatusOf(err), "%q", s)
	}
	if req, err := through(t.Context(), get(), withCaller(caller), auth.Claims(auth.Claim{Path: "sub", Param: "sub"})); err == nil {
		assert.Equal(t, s, req.Params.Get("sub"))
		assert.NotContains(t, []string{"", ".", ".."}, s)
		passed++
	} else {
		assert.Equal(t, http.StatusForbidden, proxy.StatusOf(err), "%q", s)
	}
	return passed
}

// sentOver returns the header that a server reads where a client has sent h.
func sentOver(t *testing.T, h http.Header) http.Header {
	t.Helper()
	r, err := http.NewRequest("GET", "http://upstream/", nil)
	require.NoError(t, err)
	r.Header = h
	var wire bytes.Buffer
	require.NoError(t, r.Write(&wire))
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	require.NoError(t, err)
	for name := range got.Header {
		if name != "User-Agent" && h[name] == nil {
			t.Errorf("a field appeared: %s", name)
		}
	}
	return got.Header
}

func TestClaimsThatCannotBeSetAreFaults(t *testing.T) {
	t.Parallel()
	for want, claims := range map[string][]auth.Claim{
		`auth: Claims: there are no claims`:                                                                                            {},
		`auth: Claims: claim 1 (sub): it has neither a Header nor a Param`:                                                             {{Path: "sub"}},
		`auth: Claims: claim 1 (a..b): document: path "a..b": invalid path: empty name`:                                                {{Path: "a..b", Header: "X-User"}},
		`auth: Claims: claim 1 (sub): header "X User": it is not the name of a header`:                                                 {{Path: "sub", Header: "X User"}},
		`auth: Claims: claim 1 (sub): header "Transfer_Encoding": only the backend sets Transfer-Encoding`:                             {{Path: "sub", Header: "Transfer_Encoding"}},
		`auth: Claims: claim 1 (sub): header "content-type": Content-Type belongs to a body, and is set with it`:                       {{Path: "sub", Header: "content-type"}},
		`auth: Claims: claim 2 (id): another claim sets header X-User too`:                                                             {{Path: "sub", Header: "X-User"}, {Path: "id", Header: "x_user"}},
		`auth: Claims: claim 2 (id): another claim sets param a too`:                                                                   {{Path: "sub", Param: "a"}, {Path: "id", Param: "a"}},
		`auth: Claims: claim 1 (sub): param "a/b": the name is not a valid placeholder name`:                                           {{Path: "sub", Param: "a/b"}},
		`auth: Claims: claim 1 (roles): a list cannot become param role`:                                                               {{Path: "roles", Param: "role", List: true}},
		`auth: Claims: claim 1 (roles.*): a list cannot become param role`:                                                             {{Path: "roles.*", Param: "role"}},
		"auth: Claims: claim 1 (): document: invalid path: empty name\nauth: Claims: claim 2 (a): it has neither a Header nor a Param": {{Header: "X-User"}, {Path: "a"}},
	} {
		assert.EqualError(t, faultsOf(auth.Claims(claims...)), want)
	}
}

func TestClaimsShowInThePlanWhatTheySet(t *testing.T) {
	t.Parallel()
	d := auth.Claims(auth.Claim{Path: "sub", Header: "x-user"}, auth.Claim{Path: "account.id", Param: "account", Header: "X-Account"})
	plan := pipe.PlanOf(proxy.Proxy(answers).With(d))
	assert.Contains(t, plan.String(), "→ claims (sub as X-User, account.id as X-Account, account.id as {account})")
	assert.Equal(t, []string{"account"}, plan.Gives)
	assert.True(t, plan.Effects.Has(pipe.ReadsCaller|pipe.WritesRequest))
	assert.True(t, pipe.PlanOf(proxy.Proxy(answers).With(auth.Claims(auth.Claim{Path: "t", Header: "authorization"}))).Effects.Has(pipe.Credentials))
}

func TestClaimsKeepTheLaws(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}, auth.Claim{Path: "account", Param: "account"}), proxytest.Options{
		Request: func() *proxy.Request {
			req := get("X-User", "admin")
			req.Caller = claiming(`{"sub":"ada","account":"7"}`)
			return req
		}})
}
