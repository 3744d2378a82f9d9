package jwt_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestAGoodTokenNamesItsCaller(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			issuer := newIssuer(t, algorithm)
			tokens := newTokens(t, spec(jwt.ParseKeys(issuer.KeySet()), algorithm))
			c := good(claims{"roles": []string{"admin", "clerk"}, "scope": "orders:read orders:write", "account": claims{"id": 7}})
			token := sign(t, issuer, c)
			for range 2 { // the second time it is remembered
				caller, err := tokens.Authenticate(t.Context(), bearer(token))
				require.NoError(t, err)
				assert.Equal(t, "jwt", caller.Scheme)
				assert.Equal(t, iss, caller.Issuer)
				assert.Equal(t, "ada", caller.ID)
				assert.Equal(t, []string{"admin", "clerk"}, caller.Roles)
				assert.Equal(t, []string{"orders:read", "orders:write"}, caller.Scopes)
				assert.Equal(t, c["exp"], caller.Expires.Unix())
				assert.JSONEq(t, jsonOf(t, c), caller.Claims.String())
			}
		})
	}
}

// alphabet is that of base64url.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestHMACTokens(t *testing.T) {
	t.Parallel()
	secret := []byte(strings.Repeat("k", 32))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, nil)
	require.NoError(t, err)
	tokenOf := func(signer jose.Signer) string {
		token, err := signer.Sign([]byte(jsonOf(t, good())))
		require.NoError(t, err)
		compact, err := token.CompactSerialize()
		require.NoError(t, err)
		return compact
	}
	tokens := newTokens(t, spec(jwt.StaticKeys(jwt.Key{Secret: secret}), "HS256"))
	fine := tokenOf(signer)
	status, _ := ask(t.Context(), tokens, fine)
	assert.Equal(t, 200, status)
	last := len(fine) - 1 // it has two bits that do not count
	for _, c := range alphabet {
		if same := fine[:last] + string(c); same != fine {
			status, _ = ask(t.Context(), tokens, same)
			assert.Equal(t, 401, status, "a token has one spelling")
		}
	}
	other, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("x", 32))}, nil)
	require.NoError(t, err)
	status, _ = ask(t.Context(), tokens, tokenOf(other))
	assert.Equal(t, 401, status)
}

func TestRolesAndScopesAreWhereTheSpecSays(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	for _, tt := range []struct {
		name          string
		roles, scopes string
		claims        claims
		wantRoles     []string
		wantScopes    []string
	}{
		{name: "none"},
		{name: "roles in a text", claims: claims{"roles": "admin  clerk"}, wantRoles: []string{"admin", "clerk"}},
		{name: "roles of other types", claims: claims{"roles": []any{1, "admin", nil}}, wantRoles: []string{"admin"}},
		{name: "roles that are none", claims: claims{"roles": 7}},
		{name: "roles at a path", roles: "realm.roles", claims: claims{"realm": claims{"roles": []string{"admin"}}, "roles": "x"}, wantRoles: []string{"admin"}},
		{name: "scp", claims: claims{"scp": []string{"a", "b"}}, wantScopes: []string{"a", "b"}},
		{name: "scope before scp", claims: claims{"scope": "a", "scp": []string{"b"}}, wantScopes: []string{"a"}},
		{name: "scopes at a path", scopes: `x\.y`, claims: claims{"x.y": "a", "scope": "b"}, wantScopes: []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
			s.Roles, s.Scopes = tt.roles, tt.scopes
			status, caller := ask(t.Context(), newTokens(t, s), sign(t, issuer, good(tt.claims)))
			require.Equal(t, 200, status)
			assert.Equal(t, tt.wantRoles, caller.Roles)
			assert.Equal(t, tt.wantScopes, caller.Scopes)
		})
	}
}

// proves T9
func TestClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // so that now stands still
		issuer := newIssuer(t, "ES256")
		now := time.Now().Unix()
		keys := jwt.ParseKeys(issuer.KeySet())
		one := spec(keys, "ES256")
		open, all := one, one
		open.Issuer, open.Audience = jwt.AnyIssuer, []string{jwt.AnyAudience}
		all.Audience, all.AllAudiences = []string{"orders", "stock"}, true
		some := all
		some.AllAudiences = false
		strict := one
		strict.Leeway = -1
		for _, tt := range []struct {
			name   string
			spec   jwt.Spec
			claims claims
			status int
		}{
			{"good", one, claims{}, 200},
			{"no exp", one, claims{"exp": nil}, 401},
			{"exp is no number", one, claims{"exp": "9999999999"}, 401},
			{"exp is null", one, claims{"exp": json.RawMessage("null")}, 401},
			{"exp is without end", one, claims{"exp": json.RawMessage("1e999")}, 401},
			{"exp is huge", one, claims{"exp": json.RawMessage("1e300")}, 401},
			{"exp is negative", one, claims{"exp": -1}, 401},
			{"exp with a fraction", one, claims{"exp": float64(now) + 0.5}, 200},
			{"exp with an exponent", one, claims{"exp": json.RawMessage("2.5e11")}, 200},
			{"expired within the leeway", one, claims{"exp": now - 9}, 200},
			{"expired", one, claims{"exp": now - 10}, 401},
			{"expired now, without leeway", strict, claims{"exp": now}, 401},
			{"not yet, within the leeway", one, claims{"nbf": now + 10}, 200},
			{"not yet", one, claims{"nbf": now + 11}, 401},
			{"not yet, without leeway", strict, claims{"nbf": now + 1}, 401},
			{"nbf is no number", one, claims{"nbf": "x"}, 401},
			{"made in the future within the leeway", one, claims{"iat": now + 10}, 200},
			{"made in the future", one, claims{"iat": now + 11}, 401},
			{"iat is no number", one, claims{"iat": []int{1}}, 401},
			{"another issuer", one, claims{"iss": iss + "/"}, 401},
			{"no issuer", one, claims{"iss": nil}, 401},
			{"iss is an array", one, claims{"iss": []string{iss}}, 401},
			{"any issuer", open, claims{"iss": "https://other.test"}, 200},
			{"another audience", one, claims{"aud": "stock"}, 401},
			{"no audience", one, claims{"aud": nil}, 401},
			{"an empty audience", one, claims{"aud": []string{}}, 401},
			{"one of several audiences", one, claims{"aud": []string{"stock", "orders"}}, 200},
			{"an audience of another type", one, claims{"aud": []any{"orders", 1}}, 401},
			{"a star as audience", one, claims{"aud": "*"}, 401},
			{"a star as issuer", one, claims{"iss": "*"}, 401},
			{"any audience", open, claims{"aud": nil}, 200},
			{"all audiences", all, claims{"aud": []string{"stock", "x", "orders"}}, 200},
			{"not all audiences", all, claims{"aud": []string{"orders", "orders"}}, 401},
			{"one of two", some, claims{"aud": "stock"}, 200},
			{"no subject", one, claims{"sub": nil}, 200},
			{"sub is no string", one, claims{"sub": 7}, 401},
			{"bound to who knows what", one, claims{"cnf": claims{"kid": strings.Repeat("A", 43)}}, 401},
			{"bound to nothing", one, claims{"cnf": claims{}}, 401},
			{"cnf is no object", one, claims{"cnf": "x"}, 401},
			{"cnf is null", one, claims{"cnf": json.RawMessage("null")}, 401},
			{"bound to a proof", one, claims{"cnf": claims{"jkt": strings.Repeat("A", 43)}}, 401},
			{"bound to a certificate", one, claims{"cnf": claims{"x5t#S256": strings.Repeat("A", 43)}}, 401},
			{"bound to half a certificate", one, claims{"cnf": claims{"x5t#S256": "AAAA"}}, 401},
		} {
			status, _ := ask(t.Context(), newTokens(t, tt.spec), sign(t, issuer, good(tt.claims)))
			assert.Equal(t, tt.status, status, tt.name)
		}
	})
}

// proves T9
func TestForms(t *testing.T) {
	t.Parallel()
	issuer, stranger := newIssuer(t, "ES256"), newIssuer(t, "ES256")
	tokens := newTokens(t, spec(jwt.ParseKeys(issuer.KeySet()), "ES256"))
	payload := jsonOf(t, good())
	head := func(more string) string { return fmt.Sprintf(`{"alg":"ES256","kid":%q%s}`, issuer.KeyID(), more) }
	fine := raw(t, issuer, head(""), payload)
	first, rest, _ := strings.Cut(fine, ".")
	second, third, _ := strings.Cut(rest, ".")
	last := third[:len(third)-1]
	same := last + string(alphabet[strings.IndexByte(alphabet, third[len(third)-1])|1]) // the last bits do not count
	many := `,"a":{"b":1,"b":2}`
	deep := `,"a":` + strings.Repeat("[", 600) + strings.Repeat("]", 600)
	var names strings.Builder
	for i := range 40 {
		fmt.Fprintf(&names, `,"n%d":%d`, i, i)
	}
	wide := names.String()
	for _, tt := range []struct {
		name, token string
		status      int
	}{
		{"good", fine, 200},
		{"good with white space in JSON", raw(t, issuer, " "+head("")+"\n", payload+" "), 200},
		{"good with a foreign jwk", raw(t, issuer, head(`,"jwk":`+jwkOf(t, stranger)), payload), 200},
		{"good with jku and x5u", raw(t, issuer, head(`,"jku":"https://evil.test","x5u":"https://evil.test"`), payload), 200},
		{"good with many names", raw(t, issuer, head(wide), payload), 200},
		{"empty", "", 401},
		{"no dots", "abc", 401},
		{"one dot", first + "." + second, 401},
		{"three dots", fine + ".", 401},
		{"without a signature", first + "." + second + ".", 401},
		{"without a header", "." + rest, 401},
		{"with padding", first + "=." + rest, 401},
		{"with a line break", first + "\n." + rest, 401},
		{"with a blank", fine[:10] + " " + fine[10:], 401},
		{"in base64 of another alphabet", raw(t, issuer, head(""), payload) + "+/", 401},
		{"with bits that do not count", first + "." + second + "." + same, 401},
		{"in JSON", fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, second, first, third), 401},
		{"in general JSON", fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, second, first, third), 401},
		{"detached", first + ".." + third, 401},
		{"of another key", raw(t, stranger, head(""), payload), 401},
		{"of another key that it brings", raw(t, stranger, `{"alg":"ES256","jwk":`+jwkOf(t, stranger)+`}`, payload), 401},
		{"without alg", raw(t, issuer, fmt.Sprintf(`{"kid":%q}`, issuer.KeyID()), payload), 401},
		{"alg none", encode(`{"alg":"none"}`) + "." + second + "." + third, 401},
		{"alg none without a signature", encode(`{"alg":"none"}`) + "." + second + ".", 401},
		{"alg of another family", raw(t, issuer, fmt.Sprintf(`{"alg":"HS256","kid":%q}`, issuer.KeyID()), payload), 401},
		{"alg in lower case", raw(t, issuer, fmt.Sprintf(`{"alg":"es256","kid":%q}`, issuer.KeyID()), payload), 401},
		{"alg that is no string", raw(t, issuer, `{"alg":["ES256"]}`, payload), 401},
		{"kid that is no string", raw(t, issuer, `{"alg":"ES256","kid":1}`, payload), 401},
		{"an unknown kid", raw(t, issuer, `{"alg":"ES256","kid":"other"}`, payload), 401},
		{"an empty kid", raw(t, issuer, `{"alg":"ES256","kid":""}`, payload), 401},
		{"crit", raw(t, issuer, head(`,"crit":["x"],"x":1`), payload), 401},
		{"crit that is empty", raw(t, issuer, head(`,"crit":[]`), payload), 401},
		{"b64", raw(t, issuer, head(`,"b64":false,"crit":["b64"]`), payload), 401},
		{"b64 true", raw(t, issuer, head(`,"b64":true`), payload), 401},
		{"a repeated name in the header", raw(t, issuer, head(`,"kid":"x"`), payload), 401},
		{"an escaped repeated name", raw(t, issuer, head(`,"\u0061lg":"ES256"`), payload), 401},
		{"a repeated name deep in the header", raw(t, issuer, head(many), payload), 401},
		{"a repeated name among many", raw(t, issuer, head(wide+`,"n3":1`), payload), 401},
		{"a header too deep", raw(t, issuer, head(deep), payload), 401},
		{"a header that is no object", raw(t, issuer, `["ES256"]`, payload), 401},
		{"a header that is no JSON", raw(t, issuer, `{`, payload), 401},
		{"a header with more behind it", raw(t, issuer, head("")+"{}", payload), 401},
		{"a repeated claim", raw(t, issuer, head(""), strings.Replace(payload, "{", `{"sub":"eve",`, 1)), 401},
		{"a repeated claim in an array", raw(t, issuer, head(""), strings.Replace(payload, "{", `{"a":[{"b":1,"b":1}],`, 1)), 401},
		{"claims that are no object", raw(t, issuer, head(""), `[]`), 401},
		{"claims that are no JSON", raw(t, issuer, head(""), `foo`), 401},
		{"claims that are not UTF-8", raw(t, issuer, head(""), strings.Replace(payload, "{", "{\"a\":\"\xff\",", 1)), 401},
		{"no claims", raw(t, issuer, head(""), ``), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for range 2 {
				_, err := tokens.Authenticate(t.Context(), bearer(tt.token))
				assert.Equal(t, tt.status, proxy.StatusOf(err), "%v", err)
				assert.Equal(t, tt.status == 401, errors.Is(err, auth.ErrInvalidCredentials))
				if err != nil {
					assert.NotContains(t, err.Error(), "\n")
				}
			}
		})
	}
}

// jwkOf returns the public key of an issuer as a JWK.
func jwkOf(t testing.TB, i interface{ KeySet() []byte }) string {
	t.Helper()
	var set struct{ Keys []json.RawMessage }
	require.NoError(t, json.Unmarshal(i.KeySet(), &set))
	return string(set.Keys[0])
}

// proves F6
func TestALongTokenIsNotLookedAt(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
	s.Cookie = "session"
	tokens := newTokens(t, s)
	short, long := "", "" // the longest token that is looked at, and one that is hardly longer
	for pad := 5000; len(long) <= 8192; pad++ {
		short, long = long, sign(t, issuer, good(claims{"x": strings.Repeat("x", pad)}))
		if pad == 5000 {
			pad += (8180 - len(long)) * 3 / 4
		}
	}
	assert.GreaterOrEqual(t, len(short), 8190)
	status, _ := ask(t.Context(), tokens, short)
	assert.Equal(t, 200, status)
	_, err := tokens.Authenticate(t.Context(), bearer(long))
	assert.ErrorContains(t, err, "8192 bytes")

	cookie := proxy.NewRequest("GET", "/")
	cookie.Header["Cookie"] = []string{"session=" + long}
	_, err = tokens.Authenticate(t.Context(), cookie)
	assert.ErrorContains(t, err, "8192 bytes")
}

func TestPSSignaturesNeedASaltAsLongAsTheHash(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "PS256")
	tokens := newTokens(t, spec(jwt.ParseKeys(issuer.KeySet()), "PS256"))
	input := encode(fmt.Sprintf(`{"alg":"PS256","kid":%q}`, issuer.KeyID())) + "." + encode(jsonOf(t, good()))
	for salt, want := range map[int]int{32: 200, 20: 401, 0: 401, 33: 401} {
		signature, err := salted(issuer.Signer().(*rsa.PrivateKey), input, salt)
		require.NoError(t, err)
		status, _ := ask(t.Context(), tokens, input+"."+base64.RawURLEncoding.EncodeToString(signature))
		assert.Equal(t, want, status, "salt of %d bytes", salt)
	}
}

func TestATokenWithoutKidNeedsTheOnlyKey(t *testing.T) {
	t.Parallel()
	one, two := newIssuer(t, "ES256"), newIssuer(t, "RS256")
	key := func(id string, i interface{ KeySet() []byte }) jwt.Key {
		return jwt.Key{ID: id, Public: i.(interface{ Signer() cryptoSigner }).Signer().Public()}
	}
	token := raw(t, one, `{"alg":"ES256"}`, jsonOf(t, good()))
	for _, tt := range []struct {
		name   string
		keys   []jwt.Key
		algs   []string
		status int
	}{
		{"the only key, with a kid", []jwt.Key{key("a", one)}, []string{"ES256"}, 200},
		{"the only key, without", []jwt.Key{key("", one)}, []string{"ES256"}, 200},
		{"the only key that can be used", []jwt.Key{key("a", one), key("b", two)}, []string{"ES256"}, 200},
		{"two keys", []jwt.Key{key("a", one), key("b", two)}, []string{"ES256", "RS256"}, 401},
		{"another key", []jwt.Key{key("b", two)}, []string{"ES256", "RS256"}, 401},
	} {
		status, _ := ask(t.Context(), newTokens(t, spec(jwt.StaticKeys(tt.keys...), tt.algs...)), token)
		assert.Equal(t, tt.status, status, tt.name)
	}
	named := raw(t, one, `{"alg":"ES256","kid":"a"}`, jsonOf(t, good()))
	status, _ := ask(t.Context(), newTokens(t, spec(jwt.StaticKeys(key("", one)), "ES256")), named)
	assert.Equal(t, 401, status, "no key has that kid")
}

func TestWhereTheTokenIs(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
	s.Cookie, s.Origins = "session", []string{"https://shop.test"}
	tokens := newTokens(t, s)
	fine, bad := sign(t, issuer, good()), sign(t, newIssuer(t, "ES256"), good())
	for _, tt := range []struct {
		name    string
		method  string
		upgrade string
		header  http.Header
		status  int // 0 is no credential
	}{
		{"nowhere", "GET", "", http.Header{}, 0},
		{"Bearer", "GET", "", http.Header{"Authorization": {"Bearer " + fine}}, 200},
		{"bearer", "GET", "", http.Header{"Authorization": {"bEaReR  " + fine}}, 200},
		{"Bearer without a token", "GET", "", http.Header{"Authorization": {"Bearer"}}, 401},
		{"Bearer with two tokens", "GET", "", http.Header{"Authorization": {"Bearer " + fine + " " + fine}}, 401},
		{"Bearer with a list", "GET", "", http.Header{"Authorization": {"Bearer " + fine + ", " + fine}}, 401},
		{"another scheme", "GET", "", http.Header{"Authorization": {"Basic YTpi"}}, 0},
		{"DPoP, which is not accepted", "GET", "", http.Header{"Authorization": {"DPoP " + fine}}, 0},
		{"two lines", "GET", "", http.Header{"Authorization": {"Bearer " + fine, "Bearer " + fine}}, 400},
		{"no scheme", "GET", "", http.Header{"Authorization": {"=" + fine}}, 400},
		{"a query is no place", "GET", "", http.Header{}, 0},
		{"a cookie", "GET", "", http.Header{"Cookie": {"a=b; session=" + fine}}, 200},
		{"a cookie beside another scheme", "GET", "", http.Header{"Authorization": {"Basic YTpi"}, "Cookie": {"session=" + fine}}, 200},
		{"another cookie", "GET", "", http.Header{"Cookie": {"Session=" + fine}}, 0},
		{"two cookies", "GET", "", http.Header{"Cookie": {"session=" + fine + "; session=" + bad}}, 400},
		{"two lines with cookies", "GET", "", http.Header{"Cookie": {"session=" + fine, "session=" + fine}}, 400},
		{"a bad cookie", "GET", "", http.Header{"Cookie": {"session=" + bad}}, 401},
		{"Authorization before the cookie", "GET", "", http.Header{"Authorization": {"Bearer " + bad}, "Cookie": {"session=" + fine}}, 401},
		{"a cookie that may change something", "POST", "", http.Header{"Cookie": {"session=" + fine}}, 403},
		{"from an origin that is named", "POST", "", http.Header{"Cookie": {"session=" + fine}, "Origin": {"https://shop.test"}}, 200},
		{"from another origin", "POST", "", http.Header{"Cookie": {"session=" + fine}, "Origin": {"https://evil.test"}}, 403},
		{"from the own origin", "POST", "", http.Header{"Cookie": {"session=" + fine}, "Origin": {"https://api.test"}}, 200},
		{"from another origin", "DELETE", "", http.Header{"Cookie": {"session=" + fine}, "Origin": {"https://evil.test"}}, 403},
		{"from another scheme", "POST", "", http.Header{"Cookie": {"session=" + fine}, "Origin": {"http://api.test"}}, 403},
		{"from a sandbox", "POST", "", http.Header{"Cookie": {"session=" + fine}, "Origin": {"null"}}, 403},
		{"a WebSocket with a cookie", "GET", "websocket", http.Header{"Cookie": {"session=" + fine}}, 403},
		{"a WebSocket from the own origin", "GET", "websocket", http.Header{"Cookie": {"session=" + fine}, "Origin": {"https://api.test"}}, 200},
		{"a WebSocket from another origin", "GET", "websocket", http.Header{"Cookie": {"session=" + fine}, "Origin": {"https://evil.test"}}, 403},
		{"no browser adds Authorization", "POST", "", http.Header{"Authorization": {"Bearer " + fine}, "Origin": {"https://evil.test"}}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := proxy.NewRequest(tt.method, "/orders")
			req.Scheme, req.Host, req.Header, req.Upgrade = "https", "api.test", tt.header, tt.upgrade
			req.Query.Set("access_token", fine)
			caller, err := tokens.Authenticate(t.Context(), req)
			if tt.status == 0 {
				assert.NoError(t, err)
				assert.Nil(t, caller)
				return
			}
			assert.Equal(t, tt.status, proxy.StatusOf(err), "%v", err)
			assert.Equal(t, tt.status == 200, caller != nil)
		})
	}
	s.Cookie, s.Origins = "", nil
	req := proxy.NewRequest("GET", "/")
	req.Header["Cookie"] = []string{"session=" + fine}
	caller, err := newTokens(t, s).Authenticate(t.Context(), req)
	assert.NoError(t, err)
	assert.Nil(t, caller)
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	plain := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
	realm, proof, only := plain, plain, plain
	realm.Realm = "shop"
	proof.DPoP = &jwt.DPoP{Algorithms: []string{"ES256", "EdDSA"}}
	only.DPoP = &jwt.DPoP{Algorithms: []string{"ES256"}, Required: true}
	unauthorized := &proxy.Error{Status: 401, Err: auth.ErrInvalidCredentials}
	noProof := &proxy.Error{Status: 401, Err: fmt.Errorf("%w: %w", auth.ErrInvalidCredentials, jwt.ErrProof)}
	for _, tt := range []struct {
		name string
		spec jwt.Spec
		err  error
		want string
	}{
		{"no token", plain, nil, `Bearer`},
		{"no credentials", plain, &proxy.Error{Status: 401, Err: auth.ErrNoCredentials}, `Bearer`},
		{"no token, with a realm", realm, nil, `Bearer realm="shop"`},
		{"a bad token", plain, unauthorized, `Bearer error="invalid_token"`},
		{"a bad token, with a realm", realm, unauthorized, `Bearer realm="shop", error="invalid_token"`},
		{"malformed", plain, &proxy.Error{Status: 400}, `Bearer error="invalid_request"`},
		{"forbidden", plain, &proxy.Error{Status: 403}, ``},
		{"unavailable", plain, &proxy.Error{Status: 503, Err: auth.ErrUnavailable}, ``},
		{"no token, with DPoP", proof, nil, `Bearer, DPoP algs="ES256 EdDSA"`},
		{"a bad token, with DPoP", proof, unauthorized, `Bearer error="invalid_token", DPoP algs="ES256 EdDSA"`},
		{"a bad proof", proof, noProof, `Bearer, DPoP algs="ES256 EdDSA", error="invalid_dpop_proof"`},
		{"no token, DPoP only", only, nil, `DPoP algs="ES256"`},
		{"a bad token, DPoP only", only, unauthorized, `DPoP algs="ES256", error="invalid_token"`},
	} {
		assert.Equal(t, tt.want, newTokens(t, tt.spec).Challenge(tt.err), tt.name)
	}
}

// proves T6
func TestRevokedIsAskedForEachRequest(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	for _, tt := range []struct {
		name   string
		answer func() error
		status int
		is     error
	}{
		{"not revoked", func() error { return nil }, 200, nil},
		{"revoked", func() error { return fmt.Errorf("jti: %w", auth.ErrInvalidCredentials) }, 401, auth.ErrInvalidCredentials},
		{"revoked, by status", func() error { return &proxy.Error{Status: 401} }, 401, auth.ErrInvalidCredentials},
		{"the store is down", func() error { return errors.New("connection refused") }, 503, auth.ErrUnavailable},
		{"the store forbids", func() error { return &proxy.Error{Status: 403} }, 503, auth.ErrUnavailable},
		{"the store is slow", func() error { return context.DeadlineExceeded }, 503, auth.ErrUnavailable},
		{"a panic", func() error { panic("bug") }, 503, auth.ErrUnavailable},
		{"an error with methods that panic", func() error { return unsound{} }, 503, auth.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
			s.Revoked = func(_ context.Context, c *proxy.Caller) error {
				asked++
				assert.Equal(t, "ada", c.ID)
				return tt.answer()
			}
			tokens := newTokens(t, s)
			token := sign(t, issuer, good())
			for range 3 {
				caller, err := tokens.Authenticate(t.Context(), bearer(token))
				assert.Equal(t, tt.status, proxy.StatusOf(err))
				assert.Equal(t, tt.status == 200, caller != nil)
				if tt.is != nil {
					assert.ErrorIs(t, err, tt.is)
				}
			}
			assert.Equal(t, 3, asked)
			_, _ = tokens.Authenticate(t.Context(), bearer("bad"))
			assert.Equal(t, 3, asked, "nobody asks about a bad token")
		})
	}
}

func TestASetOfRevokedTokens(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	set, err := auth.NewRevoked(auth.RevokedSpec{})
	require.NoError(t, err)
	s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
	s.Revoked = set.Revoked
	tokens := newTokens(t, s)
	one, two := sign(t, issuer, good(claims{"jti": "1"})), sign(t, issuer, good(claims{"jti": "2"}))
	for _, token := range []string{one, two} {
		status, _ := ask(t.Context(), tokens, token)
		assert.Equal(t, 200, status)
	}
	require.NoError(t, set.Revoke("1", time.Now().Add(time.Hour)))
	_, err = tokens.Authenticate(t.Context(), bearer(one))
	assert.ErrorIs(t, err, auth.ErrRevoked)
	assert.Equal(t, `Bearer error="invalid_token"`, tokens.Challenge(err))
	status, _ := ask(t.Context(), tokens, two)
	assert.Equal(t, 200, status)
}

// An unsound error panics where errors.Is asks it.
type unsound struct{}

func (unsound) Error() string { panic("bug") }
func (unsound) Is(error) bool { panic("bug") }

func TestARevokedThatBlocksIsLeftAtTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, "ES256")
		release := make(chan struct{})
		for name, hook := range map[string]func(){
			"blocks": func() { <-release },
			"exits":  runtime.Goexit,
		} {
			s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
			s.Revoked = func(context.Context, *proxy.Caller) error {
				hook()
				return nil
			}
			p := proxy.Proxy(passes).With(auth.Require(newTokens(t, s)))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			res, err := p(ctx, bearer(sign(t, issuer, good())))
			assert.Nil(t, res, name)
			assert.GreaterOrEqual(t, proxy.StatusOf(err), 500, name)
			assert.LessOrEqual(t, time.Since(start), time.Second, name)
			cancel()
		}
		close(release)
	})
}

func passes(context.Context, *proxy.Request) (*proxy.Response, error) {
	return &proxy.Response{Status: http.StatusOK}, nil
}

func TestRequireTakesTokens(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
	var id string
	p := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		id = req.Caller.ID
		return passes(ctx, req)
	}).With(auth.Require(newTokens(t, s)))
	_, err := p(t.Context(), bearer(sign(t, issuer, good())))
	require.NoError(t, err)
	assert.Equal(t, "ada", id)
	for token, want := range map[string]string{"x": `Bearer error="invalid_token"`, "": `Bearer`} {
		req := proxy.NewRequest("GET", "/")
		if token != "" {
			req = bearer(token)
		}
		_, err = p(t.Context(), req)
		refused, ok := errors.AsType[*proxy.Error](err)
		require.True(t, ok)
		assert.Equal(t, 401, refused.Status)
		assert.Equal(t, []string{want}, refused.Header["Www-Authenticate"])
	}
}

func TestTokensConform(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	token := sign(t, issuer, good(claims{"exp": int64(9_999_999_999)})) // in fake time too
	for name, revoked := range map[string]func(context.Context, *proxy.Caller) error{
		"with a hook": func(context.Context, *proxy.Caller) error { return nil },
		"without":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
			s.Revoked = revoked
			proxytest.Conform(t, auth.Require(newTokens(t, s)), proxytest.Options{Answers: true, Request: func() *proxy.Request {
				req := bearer(token)
				req.Query.Set("page", "2")
				req.Params.Set("id", "1")
				return req
			}})
		})
	}
}

func TestTokensInThePlan(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	s := spec(&jwt.Keys{URL: "https://id.test/jwks.json?key=secret"}, "ES256", "RS256")
	step := newTokens(t, s).Plan()
	assert.Equal(t, "jwt", step.Kind)
	assert.Equal(t, "keys of https://id.test/jwks.json, issuer https://id.test, audience orders, ES256 RS256", step.Detail)
	assert.Equal(t, []string{"Authorization"}, step.Takes)
	assert.Equal(t, 5100*time.Millisecond, step.Waits)
	assert.True(t, step.HonoursContext())
	assert.False(t, step.Effects.Has(pipe.Opaque))

	s = spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
	s.Issuer, s.Audience, s.Cookie, s.DPoP = jwt.AnyIssuer, []string{jwt.AnyAudience}, "session", &jwt.DPoP{}
	s.Revoked = func(context.Context, *proxy.Caller) error { panic("planning runs nothing") }
	step = newTokens(t, s).Plan()
	assert.Equal(t, "1 static keys, any issuer, any audience, ES256, cookie session, DPoP, asks whether revoked", step.Detail)
	assert.Equal(t, []string{"Authorization", "Cookie", "Origin", "Upgrade", "Dpop"}, step.Takes)
	assert.Zero(t, step.Waits)
	assert.True(t, step.Effects.Has(pipe.Opaque))

	leaf := proxy.Proxy(passes)
	plan := pipe.PlanOf(leaf.With(auth.Require(newTokens(t, s)))).String()
	assert.Contains(t, plan, "jwt (1 static keys, any issuer")
}
