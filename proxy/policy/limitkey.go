package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A Key returns whose bucket a call takes from: a function
//
//	func(ctx context.Context, req *proxy.Request) (string, error)
//
// Calls with the same string share a bucket, those with "" too. An error refuses the call; it keeps
// its status, but one that says nothing of a status is 500. A Key must not change the request, must
// not wait, and must be safe for concurrent use. [pipe.NamedPipe] gives it a name for the plan.
//
// A key that the client can choose, such as a header that nobody has checked, is no limit: the next
// key is another bucket.
type Key = pipe.Pipe[*proxy.Request, string]

// ByClient is a [Key]: the address of the client, Request.Remote, without its port. The addresses of
// an IPv6 network of 64 bits are one client, because that is what one customer gets at least. An
// IPv4 address within IPv6 is that IPv4 address. All clients without an address, as those of a Unix
// socket, share one bucket.
//
// Behind a proxy the address is that of the client only if the endpoint trusts the proxy; else all
// clients of the proxy share a bucket.
func ByClient(_ context.Context, req *proxy.Request) (string, error) {
	addr, bits := clientOf(req)
	switch {
	case !addr.IsValid():
		return "", nil
	case bits == 64:
		return netip.PrefixFrom(addr, bits).String(), nil
	}
	return addr.String(), nil
}

// ByCaller is a [Key] for the caller of the request, as Request.Caller says. Each [proxy.Caller.Key] has a
// bucket, whatever address or credential it comes with. The key has nothing that the client said
// unverified. All requests without a caller share one bucket, so no call escapes the limit.
//
// Authentication stands outside the limit. Then every call has a Caller, and a call that is refused with
// 401 takes nothing from a bucket. A limit by caller with a step inside that authenticates is a fault in
// the plan, because the limit would never see a caller. To limit clients that guess credentials, put a
// limit [ByClient] outside both.
func ByCaller(_ context.Context, req *proxy.Request) (string, error) { return req.Caller.Key(), nil }

// clientOf returns the address that stands for the client, and how many bits of it count.
func clientOf(req *proxy.Request) (addr netip.Addr, bits int) {
	addr = req.Remote.Addr().Unmap()
	if !addr.Is6() {
		return addr, addr.BitLen()
	}
	network, _ := addr.Prefix(64) // it drops the zone
	return network.Addr(), 64
}

// ByParam returns a [Key]: the value of a param, such as a placeholder of the route. The plan says
// that the param is needed, and a call without it is refused with status 500.
//
// A name of "" is a fault in the plan of the [LimitBy].
func ByParam(name string) Key {
	step := pipe.Step{Mark: mark.Borrows(), Kind: "param", Name: name, Acts: pipe.In, Effects: pipe.Terminal | pipe.HonoursContext | pipe.Idempotent}
	if name == "" {
		step.Err = errors.New("policy: ByParam: the name is empty")
	} else {
		step.Needs = []string{name}
	}
	return pipe.Describe(func(_ context.Context, req *proxy.Request) (string, error) {
		value, ok := req.Params.Lookup(name)
		if !ok {
			return "", &proxy.Error{Status: http.StatusInternalServerError, Err: fmt.Errorf("the param %s is not set", name)}
		}
		return value, nil
	}, step)
}

// A keyKind says how the key of a call can be told without a call of the Key.
type keyKind int

const (
	keyFunc keyKind = iota // not at all
	keyClient
	keyCaller
)

// kindOf recognizes ByClient and ByCaller by their code.
func kindOf(key Key) keyKind {
	switch {
	case key == nil:
		return keyFunc
	case reflect.ValueOf(key).Pointer() == reflect.ValueOf(ByClient).Pointer():
		return keyClient
	case reflect.ValueOf(key).Pointer() == reflect.ValueOf(ByCaller).Pointer():
		return keyCaller
	}
	return keyFunc
}

// keyOf returns the hash of the key of a call, without an allocation for those that it knows.
func (b *buckets) keyOf(ctx context.Context, op string, key Key, kind keyKind, req *proxy.Request) (keyHash, error) {
	switch kind {
	case keyClient:
		addr, _ := clientOf(req)
		key := [17]byte{16: byte(addr.BitLen())} // no address is not the network ::
		bytes := addr.As16()
		copy(key[:], bytes[:])
		return b.hashOf(key[:]), nil
	case keyCaller:
		var room [256]byte // for most callers
		return b.hashOf(req.Caller.AppendKey(room[:0])), nil
	}
	text, err := keyFor(ctx, op, key, req)
	if err != nil {
		return keyHash{}, err
	}
	return b.hash(text), nil
}

// keyFor asks a key for op, and returns the refusal of a call whose key cannot be told.
func keyFor(ctx context.Context, op string, key Key, req *proxy.Request) (string, error) {
	text, err := key(call.Aside(ctx), req)
	switch {
	case err != nil:
		refusal := &proxy.Error{Op: op, Err: err}
		if proxy.StatusOf(err) == http.StatusBadGateway { // no upstream was asked
			refusal.Status = http.StatusInternalServerError
		}
		return "", refusal
	case ctx.Err() != nil: // the key has used up the time
		return "", &proxy.Error{Op: op, Err: ctx.Err()}
	}
	return text, nil
}

// keyStep adds to a step what the plan of a key says, and returns what the key is called.
func keyStep(step *pipe.Step, key Key) (by string) {
	switch kindOf(key) {
	case keyClient:
		step.Effects |= pipe.ReadsClient
		return "client"
	case keyCaller:
		step.Effects |= pipe.ReadsCaller
		return "caller"
	}
	plan := pipe.PlanOf(key)
	for s := range plan.All() {
		step.Effects |= s.Effects & (pipe.Opaque | pipe.Custom | pipe.ReadsCaller | pipe.ReadsClient)
		step.Needs = append(step.Needs, s.Needs...)
	}
	if !plan.HonoursContext() {
		step.Effects |= pipe.Opaque
	}
	if plan.Kind == "func" { // its name, or its place in the code
		return plan.Name
	}
	return plan.Kind + " " + plan.Name
}
