package basic_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/basic"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hashOf returns the hash of a password that costs little.
func hashOf(t testing.TB, password string, cost int) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	require.NoError(t, err)
	return string(hash)
}

func newPasswords(t testing.TB, s basic.Spec) *basic.Passwords {
	t.Helper()
	p, err := basic.New(s)
	require.NoError(t, err)
	return p
}

// sending returns a request with these credentials.
func sending(name, password string) *proxy.Request {
	return authorized("Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
}

func authorized(lines ...string) *proxy.Request {
	req := proxy.NewRequest("GET", "/")
	req.Header["Authorization"] = lines
	return req
}

// call asks for the request behind auth.Require, and returns its caller.
func call(ctx context.Context, req *proxy.Request, a auth.Authenticator) (*proxy.Caller, error) {
	var caller *proxy.Caller
	_, err := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		caller = req.Caller
		return &proxy.Response{Status: http.StatusOK}, nil
	}).With(auth.Require(a))(ctx, req)
	return caller, err
}

// faultsOf returns what is wrong in the plan of a guard.
func faultsOf(d proxy.Decorator) error {
	var errs []error
	for step := range pipe.PlanOf(proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil }).With(d)).All() {
		errs = append(errs, step.Err)
	}
	return errors.Join(errs...)
}
