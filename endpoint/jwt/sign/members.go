package sign

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

// A Spec describes [Members]. Keys and Members are required.
type Spec struct {
	Keys *Keys

	// Members are the paths of the objects that are signed, as document.ParsePath spells them, in
	// this order. A wildcard is a fault: each signature costs time.
	Members []string

	// Optional leaves an answer as it is if the member is absent or null. Otherwise such an answer fails.
	Optional bool

	// Type is the typ of what is signed, as "receipt+jwt"; "" is "JWT". A reader that requires it does not
	// take something else for a receipt (RFC 8725, section 3.11).
	Type string

	// Issuer is the claim iss that each member gets; "" leaves iss as it is.
	Issuer string

	// Lifetime gives each member the claim iat, and the claim exp that much later. 0 leaves both as they
	// are, and less than a second is a fault.
	Lifetime time.Duration

	// Now is the clock for iat and exp; nil is time.Now.
	Now func() time.Time
}

// Members returns a decorator that signs members of the documents of next. A string takes the place of each
// object: its JWS in compact form. The payload is the text of the object, byte for byte, unless claims are
// added. To keep the object too, copy it first:
//
//	orders.With(
//		sign.Members(sign.Spec{Keys: keys, Members: []string{"receipt"}}),
//		shape.Response(shape.Copy("order", "receipt")),
//	)
//
// Decorators around Members see the signed text. A signature says that we have said so, not that the answer
// is complete: in a partial answer, what is there is signed. So let Members stand around the part that has
// the member, inside the merge.
//
// A member that is absent, is not an object, or repeats a name is a [*proxy.Error] of status 502, in a
// partial answer too. So is an answer that is a stream. A key that fails is one of status 500. In each case
// the answer is closed. What is wrong with the spec is a fault in the plan.
//
// ES and PS signatures differ each time, and so does an ETag of the answer.
func Members(s Spec) proxy.Decorator {
	if err := s.fault(); err != nil {
		return proxy.Fault(err)
	}
	m := &members{Spec: s}
	for _, text := range s.Members {
		m.paths = append(m.paths, document.MustPath(text))
	}
	if m.Type == "" {
		m.Type = "JWT"
	}
	if m.Now == nil {
		m.Now = time.Now
	}
	step := pipe.Step{Mark: mark.Ours(), Kind: "sign", Source: pipe.Here(), Effects: pipe.Terminal | pipe.HonoursContext | pipe.Idempotent,
		Detail: strings.Join(s.Members, ", ") + " by " + string(s.Keys.set.Load().first.algorithm)}
	if s.Keys.code || s.Now != nil {
		step.Effects = pipe.Terminal | pipe.Opaque
	}
	return shape.Response(pipe.Describe(m.sign, step))
}

// fault returns what is wrong with the spec, joined, or nil.
func (s *Spec) fault() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("sign: Members: "+format, args...)) }
	if err := s.Keys.Fault(); err != nil {
		errs = append(errs, err)
	}
	if len(s.Members) == 0 {
		fault("there are no Members")
	}
	for _, text := range s.Members {
		switch path, err := document.ParsePath(text); {
		case err != nil:
			fault("%w", err)
		case path.HasWildcard():
			fault("%q has a wildcard", text)
		}
	}
	if s.Lifetime != 0 && s.Lifetime < time.Second {
		fault("Lifetime is %v, want 1 s or more", s.Lifetime)
	}
	return errors.Join(errs...)
}

// members is a Spec with its defaults.
type members struct {
	Spec
	paths []document.Path
}

// sign is the op.
func (m *members) sign(ctx context.Context, d document.Document) (document.Document, error) {
	work := document.Work{Context: ctx}
	for i, path := range m.paths {
		member, err := work.Get(d, path)
		if err != nil {
			return d, err
		}
		if m.Optional && (member.IsZero() || member.Kind() == document.Null) {
			continue
		}
		if member.Kind() != document.Object || member.Repeats() {
			return d, &proxy.Error{Status: http.StatusBadGateway, Err: fmt.Errorf("want an object that has each name once at %s, got %s", m.Members[i], member.Kind())}
		}
		if member, err = m.withClaims(work, member); err != nil {
			return d, err
		}
		text, err := m.Keys.Sign(member.AppendJSON(make([]byte, 0, member.Size())), m.Type)
		if err != nil {
			return d, &proxy.Error{Status: http.StatusInternalServerError, Err: err}
		}
		signed, err := document.Of(text)
		if err != nil {
			return d, err
		}
		if d, err = work.Set(d, path, signed); err != nil {
			return d, err
		}
	}
	return d, nil
}

// withClaims adds the claims of the spec.
func (m *members) withClaims(work document.Work, member document.Document) (document.Document, error) {
	for _, c := range m.claims() {
		value, err := document.Of(c.value)
		if err != nil {
			return member, err
		}
		if member, err = work.Set(member, document.PathOf(c.name), value); err != nil {
			return member, err
		}
	}
	return member, nil
}

type claim struct {
	name  string
	value any
}

func (m *members) claims() (all []claim) {
	if m.Issuer != "" {
		all = append(all, claim{"iss", m.Issuer})
	}
	if m.Lifetime > 0 {
		now := m.Now()
		all = append(all, claim{"iat", now.Unix()}, claim{"exp", now.Add(m.Lifetime).Unix()})
	}
	return all
}
