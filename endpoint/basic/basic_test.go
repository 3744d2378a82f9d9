package basic_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/basic"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestPasswords(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("p", basic.MaxPassword)
	p := newPasswords(t, basic.Spec{Realm: "reports", Users: []basic.User{
		{Name: "ada", Hash: hashOf(t, "pw", bcrypt.MinCost), Roles: []string{"reader"}},
		{Name: "Ærø", Hash: hashOf(t, "blåbær:æ", bcrypt.MinCost)},
		{Name: "long", Hash: hashOf(t, longest, bcrypt.MinCost)},
		{Name: "empty", Hash: hashOf(t, "", bcrypt.MinCost)},
	}})
	encoded := base64.StdEncoding.EncodeToString([]byte("ada:pw"))
	tests := []struct {
		name   string
		req    *proxy.Request
		id     string
		status int
	}{
		{name: "right", req: sending("ada", "pw"), id: "ada"},
		{name: "the scheme in another case", req: authorized("bAsIc " + encoded), id: "ada"},
		{name: "UTF-8, and a colon in the password", req: sending("Ærø", "blåbær:æ"), id: "Ærø"},
		{name: "as long as may be", req: sending("long", longest), id: "long"},
		{name: "an empty password that is right", req: sending("empty", ""), id: "empty"},
		{name: "absent", req: authorized(), status: 401},
		{name: "another scheme", req: authorized("Bearer " + encoded), status: 401},
		{name: "wrong", req: sending("ada", "pw2"), status: 401},
		{name: "empty", req: sending("ada", ""), status: 401},
		{name: "unknown", req: sending("bob", "pw"), status: 401},
		{name: "no name", req: sending("", "pw"), status: 401},
		{name: "the name in another case", req: sending("Ada", "pw"), status: 401},
		{name: "too long", req: sending("long", longest+"p"), status: 401},
		{name: "too long, with the right beginning", req: sending("long", longest+"anything"), status: 401},
		{name: "NUL and again", req: sending("ada", "pw\x00pw"), status: 401},
		{name: "NUL in the name", req: sending("ada\x00", "pw"), status: 401},
		{name: "CRLF", req: sending("ada", "pw\r\n"), status: 401},
		{name: "C1", req: sending("ada", "pw\u0085"), status: 401},
		{name: "not UTF-8", req: sending("ada", "pw\xff"), status: 401},
		{name: "Latin 1", req: sending("\xc6r\xf8", "pw"), status: 401},
		{name: "no colon", req: authorized("Basic " + base64.StdEncoding.EncodeToString([]byte("ada"))), status: 401},
		{name: "no base64", req: authorized("Basic ada:pw"), status: 401},
		{name: "no padding", req: authorized("Basic " + strings.TrimRight(encoded, "=") + "!"), status: 401},
		{name: "a line break in the base64", req: authorized("Basic YWRh\nOnB3"), status: 401},
		{name: "bits behind the end", req: authorized("Basic YWRhOnB="), status: 401},
		{name: "nothing", req: authorized("Basic"), status: 401},
		{name: "a kilobyte", req: sending(strings.Repeat("a", 1024), "pw"), status: 401},
		{name: "two lines", req: authorized("Basic "+encoded, "Basic "+encoded), status: 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			caller, err := call(t.Context(), tt.req, p)
			if tt.status == 0 {
				require.NoError(t, err)
				assert.Equal(t, tt.id, caller.ID)
				assert.Equal(t, "basic", caller.Scheme)
				return
			}
			assert.Nil(t, caller)
			assert.Equal(t, tt.status, proxy.StatusOf(err))
			if e, _ := errors.AsType[*proxy.Error](err); tt.status == 401 {
				assert.Equal(t, []string{`Basic realm="reports", charset="UTF-8"`}, e.Header["Www-Authenticate"])
			}
		})
	}
	caller, err := call(t.Context(), sending("ada", "pw"), p)
	require.NoError(t, err)
	assert.True(t, caller.HasRole("reader"))
	assert.Equal(t, `{"sub":"ada","roles":["reader"]}`, caller.Claims.String())
}

// Who asks for an unknown user, or one whose hash costs less, waits as long as with a wrong password.
//
// proves T7
func TestAnUnknownUserCostsAsMuchAsAWrongPassword(t *testing.T) {
	t.Parallel()
	const cost = 7
	p := newPasswords(t, basic.Spec{MaxHashes: 1, Users: []basic.User{
		{Name: "ada", Hash: hashOf(t, "pw", cost)}, {Name: "cheap", Hash: hashOf(t, "pw", bcrypt.MinCost)},
	}})
	work := 0
	p.CountWork(func(cost int) { work += 1 << cost })
	for _, credentials := range [][2]string{{"ada", "wrong"}, {"ada", "pw"}, {"cheap", "wrong"}, {"cheap", "pw"}, {"nobody", "pw"}, {"", ""}} {
		work = 0
		_, err := call(t.Context(), sending(credentials[0], credentials[1]), p)
		right := credentials[1] == "pw" && credentials[0] != "nobody"
		assert.Equal(t, right, err == nil, credentials)
		assert.Equal(t, 1<<cost, work, credentials)
	}
}

// proves T5, T6
func TestNoMorePasswordsAreHashedThanMayBe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPasswords(t, basic.Spec{MaxHashes: 2, Users: []basic.User{{Name: "ada", Hash: hashOf(t, "pw", bcrypt.MinCost)}}})
		p.CountWork(func(int) { <-time.After(time.Second) }) // a hash that takes its time
		var mu sync.Mutex
		statuses := map[int]int{}
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				_, err := call(t.Context(), sending("ada", "pw"), p)
				if err != nil {
					assert.ErrorIs(t, err, basic.ErrBusy)
					assert.ErrorIs(t, err, auth.ErrUnavailable)
				}
				mu.Lock()
				defer mu.Unlock()
				statuses[proxy.StatusOf(err)]++
			})
		}
		all.Wait()
		assert.Equal(t, map[int]int{http.StatusOK: 2, http.StatusServiceUnavailable: 28}, statuses)
		_, err := call(t.Context(), sending("ada", "pw"), p)
		assert.NoError(t, err, "the places come back")
	})
}

func TestACallEndsWithItsContextAndTheHashIsFinished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPasswords(t, basic.Spec{MaxHashes: 1, Users: []basic.User{{Name: "ada", Hash: hashOf(t, "pw", bcrypt.MinCost)}}})
		p.CountWork(func(int) { <-time.After(time.Second) }) // a hash that takes its time
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		caller, err := call(ctx, sending("ada", "pw"), p)
		assert.Nil(t, caller)
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
		_, err = call(ctx, sending("ada", "pw"), p)
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err), "nothing begins behind its deadline")
		_, err = call(t.Context(), sending("ada", "pw"), p)
		assert.ErrorIs(t, err, basic.ErrBusy, "the place is taken until the hash is done")
		<-time.After(time.Second)
		_, err = call(t.Context(), sending("ada", "pw"), p)
		assert.NoError(t, err)
	})
}

func TestARightPasswordIsRememberedIfAskedTo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hash := hashOf(t, "pw", bcrypt.MinCost)
		p := newPasswords(t, basic.Spec{Users: []basic.User{{Name: "ada", Hash: hash}, {Name: "bob", Hash: hash}}, Remember: time.Hour})
		hashes := 0
		p.CountWork(func(int) { hashes++ })
		asks := func(name, password string, status, work int) {
			t.Helper()
			before := hashes
			_, err := call(t.Context(), sending(name, password), p)
			assert.Equal(t, status, proxy.StatusOf(err))
			assert.Equal(t, work, hashes-before, "hashes")
		}
		asks("ada", "pw", 200, 1)
		asks("ada", "pw", 200, 0)
		asks("bob", "pw", 200, 1)
		for range 2 { // what was wrong is not remembered
			asks("ada", "pw2", 401, 1)
			asks("nobody", "pw", 401, 1)
		}
		<-time.After(time.Hour)
		asks("ada", "pw", 200, 1)
		require.NoError(t, p.Replace(basic.User{Name: "ada", Hash: hashOf(t, "other", bcrypt.MinCost)}))
		asks("ada", "pw", 401, 1)
		asks("ada", "other", 200, 1)
		asks("bob", "pw", 401, 1)

		forgetful := newPasswords(t, basic.Spec{Users: []basic.User{{Name: "ada", Hash: hash}}})
		forgetful.CountWork(func(int) { hashes++ })
		p = forgetful
		asks("ada", "pw", 200, 1)
		asks("ada", "pw", 200, 1)
	})
}

func TestWhatIsWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	good := hashOf(t, "pw", bcrypt.MinCost)
	p, err := basic.New(basic.Spec{Realm: "a\"b", MaxHashes: -1, Remember: -1, Users: []basic.User{
		{Name: "a", Hash: good}, {Name: "a", Hash: good}, {Hash: good}, {Name: "b:c", Hash: good}, {Name: "d\n", Hash: good},
		{Name: "e", Hash: "secret"}, {Name: "f", Hash: good + "x"}, {Name: "g", Hash: strings.Replace(good, "$04$", "$17$", 1)},
		{Name: "h", Hash: good[:59] + "!"},
	}})
	want := "basic: user 2 (a): another user has the name\n" +
		"basic: user 3 (): the name is empty, or has a colon or a control character\n" +
		"basic: user 4 (b:c): the name is empty, or has a colon or a control character\n" +
		"basic: user 5 (d\n): the name is empty, or has a colon or a control character\n" +
		"basic: user 6 (e): the hash is not one of bcrypt with a cost of up to 16\n" +
		"basic: user 7 (f): the hash is not one of bcrypt with a cost of up to 16\n" +
		"basic: user 8 (g): the hash is not one of bcrypt with a cost of up to 16\n" +
		"basic: user 9 (h): the hash is not one of bcrypt with a cost of up to 16\n" +
		"basic: the Realm has other characters than printable ASCII without quotes and backslashes\n" +
		"basic: MaxHashes is negative\nbasic: Remember is negative"
	assert.EqualError(t, err, want)
	assert.EqualError(t, faultsOf(auth.Require(p)), want)
	caller, err := p.Authenticate(t.Context(), sending("a", "pw"))
	assert.Nil(t, caller)
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	_, err = basic.New(basic.Spec{})
	assert.EqualError(t, err, "basic: there are no users")
}

func TestAFileOfHtpasswd(t *testing.T) {
	t.Parallel()
	y := strings.Replace(hashOf(t, "pw", bcrypt.MinCost), "$2a$", "$2y$", 1) // as htpasswd writes it
	users, err := basic.ParseHtpasswd([]byte("# users\n\nada:" + y + "\r\nbob:" + y + "\n"))
	require.NoError(t, err)
	p := newPasswords(t, basic.Spec{Users: users})
	for _, name := range []string{"ada", "bob"} {
		caller, err := call(t.Context(), sending(name, "pw"), p)
		require.NoError(t, err)
		assert.Equal(t, name, caller.ID)
	}
	users, err = basic.ParseHtpasswd([]byte("ada:" + y + "\nold:{SHA}abc\nbob\n"))
	assert.Len(t, users, 1)
	assert.EqualError(t, err, "basic: line 2: the hash is not one of bcrypt with a cost of up to 16\nbasic: line 3: the hash is not one of bcrypt with a cost of up to 16")
	_, err = basic.ParseHtpasswd([]byte(strings.Repeat("a", 1<<17)))
	assert.Error(t, err)
}

func TestThePlanShowsHowManyAreHashed(t *testing.T) {
	t.Parallel()
	p := newPasswords(t, basic.Spec{Realm: "reports", MaxHashes: 3, Remember: time.Minute, Users: []basic.User{{Name: "ada", Hash: hashOf(t, "pw", 4)}}})
	leaf := pipe.Describe(proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { runtime.Goexit(); return nil, nil }),
		pipe.Step{Kind: "backend", Name: "reports", Effects: pipe.Terminal | pipe.HonoursContext})
	plan := pipe.PlanOf(leaf.With(auth.Require(p)))
	assert.Contains(t, plan.String(), "→ basic reports (bcrypt, 3 at once, remembered for 1m0s)")
	assert.True(t, plan.HonoursContext())
	assert.False(t, plan.Steps[0].Effects.Has(pipe.Custom))
	assert.Equal(t, []string{"Authorization"}, plan.Steps[0].Takes)
}

func TestPasswordsKeepTheLaws(t *testing.T) {
	t.Parallel()
	users := []basic.User{{Name: "ada", Hash: hashOf(t, "pw", bcrypt.MinCost)}}
	proxytest.Conform(t, nil, proxytest.Options{
		New: func() proxy.Decorator {
			return auth.Require(newPasswords(t, basic.Spec{Users: users, MaxHashes: 1000}))
		},
		Request: func() *proxy.Request { return sending("ada", "pw") },
	})
}

func FuzzAuthorization(f *testing.F) {
	hash := hashOf(f, "pw", bcrypt.MinCost)
	for _, s := range []string{"", "Basic", "Basic YWRhOnB3", "Basic YWRhOnB3AHB3", "basic  YWRhOnB3", "Basic ////", "Bearer a"} {
		f.Add(s)
	}
	p := newPasswords(f, basic.Spec{Users: []basic.User{{Name: "ada", Hash: hash}}})
	f.Fuzz(func(t *testing.T, line string) {
		caller, err := call(context.Background(), authorized(line), p)
		scheme, credentials, _ := strings.Cut(line, " ")
		decoded, _ := base64.StdEncoding.DecodeString(strings.Trim(credentials, " \t"))
		if right := strings.EqualFold(scheme, "basic") && string(decoded) == "ada:pw"; !right {
			assert.Nil(t, caller)
			assert.Contains(t, []int{400, 401, 503}, proxy.StatusOf(err))
		}
		assert.Equal(t, caller == nil, err != nil)
	})
}
