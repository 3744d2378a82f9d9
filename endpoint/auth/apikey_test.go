package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

var batch = auth.APIKey{Name: "batch", Digest: auth.DigestOf("secret"), Roles: []string{"reader", "writer"}, Scopes: []string{"orders:read"}}

func TestAPIKeysAreFoundByTheirDigest(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", auth.MaxAPIKey)
	store := auth.NewKeys(batch, auth.APIKey{Name: "long", Digest: auth.DigestOf(long)}, auth.APIKey{Name: "longer", Digest: auth.DigestOf(long + "k")})
	tests := []struct {
		name   string
		lines  []string
		id     string
		status int
	}{
		{name: "absent", status: 401},
		{name: "good", lines: []string{"secret"}, id: "batch"},
		{name: "unknown", lines: []string{"Secret"}, status: 401},
		{name: "empty", lines: []string{""}, status: 401},
		{name: "as long as may be", lines: []string{long}, id: "long"},
		{name: "too long", lines: []string{long + "k"}, status: 401},
		{name: "two", lines: []string{"secret", "secret"}, status: 400},
		{name: "the digest instead of the key", lines: []string{batch.Digest.String()}, status: 401},
		{name: "a list", lines: []string{"secret, secret"}, status: 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sent := get()
			if tt.lines != nil {
				sent.Header["X-Api-Key"] = tt.lines
			}
			req, err := through(t.Context(), sent, auth.Require(auth.APIKeys(store)))
			if tt.status == 0 {
				require.NoError(t, err)
				assert.Equal(t, tt.id, req.Caller.ID)
				assert.Equal(t, "api-key", req.Caller.Scheme)
				return
			}
			assert.Nil(t, req)
			assert.Equal(t, tt.status, proxy.StatusOf(err))
			if tt.status == 401 {
				assert.Equal(t, []string{`ApiKey header="X-Api-Key"`}, headerOf(t, err)["Www-Authenticate"])
			}
		})
	}
}

func TestTheCallerOfAnAPIKeyHasClaims(t *testing.T) {
	t.Parallel()
	req, err := through(t.Context(), get("X-Api-Key", "secret"), auth.Require(auth.APIKeys(auth.NewKeys(batch))),
		auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}, auth.Claim{Path: "roles", Header: "X-Roles", List: true}),
		auth.Allow(auth.Role("writer"), auth.Scope("orders:read")))
	require.NoError(t, err)
	assert.Equal(t, http.Header{"X-User": {"batch"}, "X-Roles": {"reader,writer"}}, req.Upstream)

	none := auth.APIKey{Name: "none", Digest: auth.DigestOf("other")}
	assert.Equal(t, `{"sub":"none"}`, none.Caller().Claims.String())
}

func TestAPIKeysExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := auth.APIKey{Name: "batch", Digest: auth.DigestOf("secret"), Expires: time.Now().Add(time.Hour)}
		guarded := proxy.Proxy(answers).With(auth.Require(auth.APIKeys(auth.NewKeys(key))))
		<-time.After(time.Hour - time.Nanosecond)
		_, err := guarded(t.Context(), get("X-Api-Key", "secret"))
		assert.NoError(t, err)
		<-time.After(time.Nanosecond)
		_, err = guarded(t.Context(), get("X-Api-Key", "secret"))
		assert.ErrorIs(t, err, auth.ErrInvalidCredentials)
		assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err))
	})
}

func TestAPIKeysComeInAnotherHeader(t *testing.T) {
	t.Parallel()
	require401 := auth.Require(auth.APIKeysWith(auth.APIKeySpec{Store: auth.NewKeys(batch), Header: "x-shop-key"}))
	req, err := through(t.Context(), get("X-Shop-Key", "secret"), require401)
	require.NoError(t, err)
	assert.Equal(t, "batch", req.Caller.ID)
	_, err = through(t.Context(), get("X-Api-Key", "secret"), require401)
	assert.Equal(t, []string{`ApiKey header="X-Shop-Key"`}, headerOf(t, err)["Www-Authenticate"])
	plan := pipe.PlanOf(proxy.Proxy(answers).With(require401))
	assert.Equal(t, []string{"X-Shop-Key"}, plan.Steps[0].Takes)
}

// A storeFunc is a store of a user.
type storeFunc func(ctx context.Context, d auth.KeyDigest) (*proxy.Caller, error)

func (f storeFunc) APIKey(ctx context.Context, d auth.KeyDigest) (*proxy.Caller, error) {
	return f(ctx, d)
}

// proves T6
func TestAStoreOfKeysThatCannotTellDenies(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		store  storeFunc
		status int
	}{
		"unknown":            {func(context.Context, auth.KeyDigest) (*proxy.Caller, error) { return nil, nil }, 401},
		"down":               {func(context.Context, auth.KeyDigest) (*proxy.Caller, error) { return nil, boom }, 503},
		"down with a caller": {func(context.Context, auth.KeyDigest) (*proxy.Caller, error) { return batch.Caller(), boom }, 503},
		"not found":          {func(context.Context, auth.KeyDigest) (*proxy.Caller, error) { return nil, &proxy.Error{Status: 404} }, 503},
		"panic":              {func(context.Context, auth.KeyDigest) (*proxy.Caller, error) { panic("bug") }, 500},
		"Goexit":             {func(context.Context, auth.KeyDigest) (*proxy.Caller, error) { runtime.Goexit(); return nil, nil }, 500},
	} {
		req, err := through(t.Context(), get("X-Api-Key", "secret"), auth.Require(auth.APIKeys(tt.store)))
		assert.Nil(t, req, name)
		assert.Equal(t, tt.status, proxy.StatusOf(err), name)
	}
	synctest.Test(t, func(t *testing.T) {
		deaf := func(context.Context, auth.KeyDigest) (*proxy.Caller, error) {
			<-time.After(time.Minute)
			return batch.Caller(), nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		req, err := through(ctx, get("X-Api-Key", "secret"), auth.Require(auth.APIKeys(storeFunc(deaf))))
		assert.Nil(t, req)
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
		assert.Equal(t, time.Second, time.Since(start))
		<-time.After(time.Minute)
	})
}

func TestKeysAreReplacedAtOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	store := auth.NewKeys(batch)
	guarded := proxy.Proxy(answers).With(auth.Require(auth.APIKeys(store)))
	key, digest := auth.NewKey()
	assert.GreaterOrEqual(t, len(key), 26)
	assert.Error(t, store.Replace(auth.APIKey{Name: "new", Digest: digest}, auth.APIKey{}))
	_, err := guarded(t.Context(), get("X-Api-Key", "secret"))
	assert.NoError(t, err)
	require.NoError(t, store.Replace(auth.APIKey{Name: "new", Digest: digest}))
	_, err = guarded(t.Context(), get("X-Api-Key", "secret"))
	assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err))
	_, err = guarded(t.Context(), get("X-Api-Key", key))
	assert.NoError(t, err)
}

func TestKeysThatCannotBeAreFaults(t *testing.T) {
	t.Parallel()
	keys := []auth.APIKey{{Digest: auth.DigestOf("a")}, {Name: "b"}, {Name: "c", Digest: auth.DigestOf("a")}, {Name: "d", Digest: auth.DigestOf("")}}
	want := "auth: Keys: key 1 has no Name\nauth: Keys: key 2 (b) has no Digest\nauth: Keys: key 3 (c) is that of  too\nauth: Keys: key 4 (d) has no Digest"
	assert.EqualError(t, auth.NewKeys(keys...).Fault(), want)
	assert.EqualError(t, faultsOf(auth.Require(auth.APIKeys(auth.NewKeys(keys...)))), want)
	caller, err := auth.NewKeys(keys...).APIKey(t.Context(), auth.DigestOf("a"))
	assert.Nil(t, caller)
	assert.NoError(t, err)

	var none *auth.Keys
	assert.EqualError(t, faultsOf(auth.Require(auth.APIKeys(none))), "auth: APIKeys: the store is nil")
	for header, why := range map[string]string{"Authorization": "it has a syntax of its own", "cookie": "it has a syntax of its own",
		"X Key": "it is not the name of a header", "Host": "only the backend sets Host"} {
		d := auth.Require(auth.APIKeysWith(auth.APIKeySpec{Store: auth.NewKeys(batch), Header: header}))
		assert.ErrorContains(t, faultsOf(d), why)
	}
}

func TestADigestIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	d, err := auth.ParseKeyDigest(batch.Digest.String())
	require.NoError(t, err)
	assert.Equal(t, batch.Digest, d)
	d, err = auth.ParseKeyDigest(strings.ToUpper(batch.Digest.String()))
	require.NoError(t, err)
	assert.Equal(t, batch.Digest, d)
	for _, s := range []string{"", "secret", batch.Digest.String()[2:], batch.Digest.String() + "00"} {
		_, err := auth.ParseKeyDigest(s)
		assert.EqualError(t, err, "auth: a digest of a key has 64 hex digits", "the text may be a key")
	}
}

// No naughty string is a key, and each is one for its own digest, unless it is empty or too long.
func TestNaughtyAPIKeys(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../proxy/document/testdata/blns/blns.json")
	require.NoError(t, err)
	var naughty []string
	require.NoError(t, json.Unmarshal(b, &naughty))
	for _, s := range naughty {
		naughtyKey(t, s)
	}
}

func FuzzAPIKey(f *testing.F) {
	for _, s := range []string{"", "secret", "\x00", "é", strings.Repeat("k", auth.MaxAPIKey+1)} {
		f.Add(s)
	}
	f.Fuzz(naughtyKey)
}

func naughtyKey(t *testing.T, s string) {
	req := get()
	req.Header["X-Api-Key"] = []string{s}
	_, err := through(t.Context(), req, auth.Require(auth.APIKeys(auth.NewKeys(batch))))
	if s != "secret" {
		assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err), "%q", s)
		if len(s) > 6 {
			assert.NotContains(t, err.Error(), s)
		}
	}
	if s == "" || len(s) > auth.MaxAPIKey {
		return
	}
	_, err = through(t.Context(), req, auth.Require(auth.APIKeys(auth.NewKeys(auth.APIKey{Name: "own", Digest: auth.DigestOf(s)}))))
	assert.NoError(t, err, "%q", s)
}
