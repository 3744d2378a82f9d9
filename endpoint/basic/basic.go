package basic

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// MaxPassword is the most bytes that a password may have. bcrypt ignores what follows, so many passwords
// would be right.
const MaxPassword = 72

// maxCredentials is how many bytes the encoded name and password have at most.
const maxCredentials = 1024

// ErrBusy is why a request is refused if as many passwords are being hashed as Spec.MaxHashes allows. It
// comes in a [*proxy.Error] of status 503 that also wraps [auth.ErrUnavailable], with a Retry-After.
var ErrBusy = errors.New("too many passwords are checked at once")

// A Spec describes an authenticator; see [New].
type Spec struct {
	Users []User // who may come in; none is an error

	// Realm is what a browser shows when it asks its user for a password, in printable ASCII without quotes
	// and backslashes; "" is "restricted".
	Realm string

	// MaxHashes is how many passwords are hashed at once. Each takes a processor for as long as the cost of
	// the hash says, such as 50 ms. Further requests are refused with 503. 0 is runtime.GOMAXPROCS, and a
	// negative number is an error.
	MaxHashes int

	// Remember is how long a right password need not be hashed again. A keyed hash of it is kept in memory,
	// for 10,000 passwords at most, with a key that only this process has. Someone who can read the memory
	// of the process can then try passwords faster than with bcrypt. 0 remembers none.
	Remember time.Duration
}

// Passwords is an [auth.Authenticator] of user names and passwords. It is safe for concurrent use.
type Passwords struct {
	users     atomic.Pointer[directory]
	challenge string
	hashing   chan struct{} // has a value for each password that is hashed
	memory    *memory       // nil remembers nothing
	hash      compare       // bcrypt.CompareHashAndPassword, but in tests
	step      pipe.Step
	fault     error
}

// New returns an authenticator for these users. The error joins all that is wrong with the Spec. The
// authenticator that comes with an error has it as its Fault, and refuses every request.
//
// # Refusals
//
// A request without an Authorization of the scheme Basic has no credential of this kind. These are refused
// with 401 and auth.ErrInvalidCredentials: a wrong password, an unknown user, and credentials that are
// malformed, are not UTF-8, have a control character or a password of more than [MaxPassword] bytes. An
// unknown user takes as long as a wrong password, whatever the cost of the hashes.
//
// If Spec.MaxHashes passwords are being hashed, a further request is refused at once with 503 and
// [ErrBusy]. A bcrypt hash cannot be interrupted: if the context of a call ends, the call returns, and its
// hash keeps its place until it is finished. Names and passwords are compared byte for byte, without
// Unicode normalization.
//
// The Scheme of the caller is "basic", its ID is the name of the user, and its Claims are "sub", the name,
// and "roles" if there are any.
func New(s Spec) (*Passwords, error) {
	p := &Passwords{hash: bcrypt.CompareHashAndPassword}
	errs := []error{p.Replace(s.Users...)}
	fault := func(text string) { errs = append(errs, errors.New("basic: "+text)) }
	if s.Realm == "" {
		s.Realm = "restricted"
	}
	if strings.ContainsFunc(s.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		fault("the Realm has other characters than printable ASCII without quotes and backslashes")
	}
	if s.MaxHashes < 0 {
		fault("MaxHashes is negative")
	}
	if s.MaxHashes <= 0 {
		s.MaxHashes = runtime.GOMAXPROCS(0)
	}
	if s.Remember < 0 {
		fault("Remember is negative")
	}
	p.fault = errors.Join(errs...)
	p.challenge = `Basic realm="` + s.Realm + `", charset="UTF-8"`
	p.hashing = make(chan struct{}, s.MaxHashes)
	detail := fmt.Sprintf("bcrypt, %d at once", s.MaxHashes)
	if s.Remember > 0 {
		p.memory = newMemory(s.Remember)
		detail += ", remembered for " + s.Remember.String()
	}
	p.step = pipe.Step{Kind: "basic", Name: s.Realm, Detail: detail, Source: pipe.Here(), Takes: []string{"Authorization"},
		Effects: pipe.HonoursContext | pipe.Stateful}
	return p, p.fault
}

// Replace replaces all users at once, for all requests that come afterwards. A remembered password that is
// no longer right is forgotten. The error joins what is wrong, as that of [New] does, and then the users
// stay as they were.
func (p *Passwords) Replace(users ...User) error {
	d, err := newDirectory(users)
	if err == nil {
		p.users.Store(d)
	}
	return err
}

// Fault returns the error of [New].
func (p *Passwords) Fault() error { return p.fault }

// Mark says that the authenticator is sluice's own.
func (*Passwords) Mark() mark.Type { return mark.TypeOf[*Passwords]() }

// Plan returns the step that a plan shows.
func (p *Passwords) Plan() pipe.Step { return p.step }

// Challenge returns the WWW-Authenticate value: the realm, and that names and passwords are UTF-8.
func (p *Passwords) Challenge(error) string { return p.challenge }

// Authenticate returns the user whose name and password the request has; see [New].
func (p *Passwords) Authenticate(ctx context.Context, req *proxy.Request) (*proxy.Caller, error) {
	scheme, credentials, err := auth.Authorization(req)
	if err != nil || scheme != "basic" {
		return nil, err
	}
	if p.fault != nil {
		return nil, &proxy.Error{Status: http.StatusInternalServerError, Op: "basic", Err: p.fault}
	}
	name, password, err := parse(credentials)
	if err != nil {
		return nil, invalid(err)
	}
	users := p.users.Load()
	user := users.named[name]
	var known digest
	if p.memory != nil && user != nil {
		known = p.memory.digestOf(name, user.hash, password)
		if p.memory.has(known) {
			return user.caller, nil
		}
	}
	right, err := p.check(ctx, users, user, password)
	switch {
	case err != nil:
		return nil, err
	case !right:
		return nil, invalid(errWrong)
	}
	if p.memory != nil {
		p.memory.add(known)
	}
	return user.caller, nil
}

var (
	errMalformed = errors.New("they are not a name and a password in base64")
	errText      = errors.New("the name or the password is not UTF-8, or has a control character")
	errTooLong   = errors.New("the name or the password is too long")
	errWrong     = errors.New("the user is unknown or the password is wrong")
)

func invalid(why error) error {
	return &proxy.Error{Status: http.StatusUnauthorized, Op: "basic", Err: fmt.Errorf("%w: %w", auth.ErrInvalidCredentials, why)}
}

// parse returns the name and the password in the credentials of a client (RFC 7617, section 2).
func parse(credentials string) (name, password string, err error) {
	if len(credentials) > maxCredentials {
		return "", "", errTooLong
	}
	b, err := base64.StdEncoding.Strict().DecodeString(credentials)
	if err != nil || strings.ContainsAny(credentials, "\r\n") { // which the decoder skips
		return "", "", errMalformed
	}
	name, password, found := strings.Cut(string(b), ":")
	switch {
	case !found:
		return "", "", errMalformed
	case !isText(name), !isText(password): // bcrypt takes "pw\x00pw" for "pw"
		return "", "", errText
	case len(password) > MaxPassword:
		return "", "", errTooLong
	}
	return name, password, nil
}

// isText reports whether s is UTF-8 without control characters.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || 0x7f <= r && r <= 0x9f })
}

// check reports whether the password is that of the user, who is nil if nobody has the name.
func (p *Passwords) check(ctx context.Context, users *directory, user *entry, password string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, &proxy.Error{Op: "basic", Err: err}
	}
	select {
	case p.hashing <- struct{}{}:
	default:
		return false, &proxy.Error{Status: http.StatusServiceUnavailable, Op: "basic", Err: fmt.Errorf("%w: %w", auth.ErrUnavailable, ErrBusy),
			Header: http.Header{"Retry-After": {"1"}}}
	}
	type result struct {
		right bool
		err   error
	}
	done := make(chan result, 1) // the goroutine ends also if nobody waits
	go func() {
		var r result
		defer func() {
			if v := recover(); v != nil {
				r = result{err: pipe.NewPanicError(v)}
			}
			<-p.hashing
			done <- r
		}()
		r.right = users.compare(p.hash, user, password)
	}()
	select {
	case r := <-done:
		return r.right, r.err
	case <-ctx.Done():
		return false, &proxy.Error{Op: "basic", Err: ctx.Err()}
	}
}

// compare compares a hash with a password, and takes as long as the cost of the hash says.
type compare func(hash, password []byte) error

// compare hashes the password, and does as much work whoever the user is: that of the highest cost.
func (d *directory) compare(hash compare, user *entry, password string) bool {
	if user == nil {
		_ = hash(dummies[d.highest], []byte(password))
		return false
	}
	err := hash(user.hash, []byte(password))
	for cost := user.cost; cost < d.highest; cost++ { // a cost is twice the work of the one below
		_ = hash(dummies[cost], []byte(password))
	}
	return err == nil
}
