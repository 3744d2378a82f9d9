package jsonschema

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/sluice-go/sluice/proxy/document"
)

// The drafts that a schema can be of, for [Spec.Draft].
const (
	Draft7    = "http://json-schema.org/draft-07/schema#"
	Draft2019 = "https://json-schema.org/draft/2019-09/schema"
	Draft2020 = "https://json-schema.org/draft/2020-12/schema"
)

// A Spec describes a [Schema].
type Spec struct {
	Name string // in the plan and in faults; "" shows the kind alone

	// Text is the schema, as JSON. An object in it that repeats a name is a mistake.
	Text string

	// Resources are further schemas, as JSON, by the absolute URLs by which Text and the resources refer to
	// them. The schemas of the drafts are known without being listed. No URL is fetched.
	Resources map[string]string

	// Draft is the draft of a schema without $schema: [Draft7], [Draft2019] or [Draft2020]. "" is
	// Draft2020.
	Draft string

	// Formats refuses a text that does not have the format that the schema names, such as date-time or
	// email. With false, a format has no effect, as the drafts say, unless the schema's own meta-schema
	// requires the vocabulary format-assertion. An unknown format never has an effect.
	Formats bool

	// Branching accepts a schema that reaches one place of a value in two ways, and from there itself, such
	// as
	//
	//	{"anyOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}]}
	//
	// With such a schema each level of a value may double the work, so a body of 100 bytes can be enough
	// for hours. It then costs a processor until the context of its call ends. New decides by the schema
	// alone, and may refuse one that is harmless. if, then and else can often say the same without
	// branching.
	Branching bool
}

// A Schema is a compiled JSON Schema. It is immutable and safe for concurrent use. [New] makes one.
//
// As many values are validated at once as there were processors (GOMAXPROCS) when New was called. All users
// of the Schema share these places, and wait for one until their context ends.
type Schema struct {
	name  string
	root  *node
	names map[string]bool // that the schema mentions
	err   error
	slots chan struct{}
}

// New compiles a schema. The error joins all that is wrong with it, as far as that can be told: the text is
// not JSON, it is not a schema of its draft, the draft is not known, a reference leads nowhere, package
// regexp does not accept a pattern, or validation never ends or takes too long; see [Spec.Branching].
//
// With an error the Schema is not nil. It has the error as its Fault, so the endpoint that serves a pipe
// with it is refused at startup, together with all other faults.
func New(s Spec) (*Schema, error) {
	schema := &Schema{name: s.Name, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if err := schema.compile(s); err != nil {
		of := ""
		if s.Name != "" {
			of = " (" + s.Name + ")"
		}
		schema.err = fmt.Errorf("jsonschema: New%s: %w", of, err)
	}
	return schema, schema.err
}

// Fault returns the error of [New]. For a nil Schema it returns an error too.
func (s *Schema) Fault() error {
	switch {
	case s == nil:
		return errors.New("jsonschema: the schema is nil")
	case s.err != nil:
		return s.err
	case s.root == nil:
		return errors.New("jsonschema: the schema was not made with New")
	}
	return nil
}

// Validate returns nil if a document fits the schema, and otherwise an error. An absent document does not
// fit ([ErrEmpty]). If a value is not as the schema says, the error is an [*Invalid]. Otherwise it is one
// of the other errors of this package, [Schema.Fault], or the error of ctx, which is not wrapped.
//
// The time is in proportion to the document, with a factor that depends on the schema. Validate returns
// when ctx ends. Only the match of one pattern runs to its end, on a text of at most 4096 bytes.
func (s *Schema) Validate(ctx context.Context, doc document.Document) error {
	if err := s.Fault(); err != nil {
		return err
	}
	if doc.IsZero() {
		return ErrEmpty
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.slots <- struct{}{}:
	default:
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-s.slots }()
	return s.validate(ctx, doc)
}

func (s *Schema) validate(ctx context.Context, doc document.Document) error {
	work := document.Work{Context: ctx}
	switch repeats, err := work.Repeats(doc); {
	case err != nil:
		return err
	case repeats:
		return ErrRepeated
	}
	if !soundNumbers(doc.String()) {
		return ErrNumber
	}
	at, err := work.Cursor(doc)
	if err != nil {
		return err
	}
	r := run{ctx: ctx, left: ticks, names: s.names}
	fits := r.eval(s.root, value{Cursor: at}, nil)
	switch {
	case r.stopped != nil:
		return r.stopped
	case !fits || len(r.faults) > 0:
		return &Invalid{Locations: r.faults}
	}
	return nil
}
