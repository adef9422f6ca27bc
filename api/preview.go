package api

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"connectrpc.com/connect"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/scenario/completion"
)

// maxText of a scenario that is being written, in bytes.
const maxText = 256 << 10

// Preview answers about scenarios that are being written.
type Preview struct {
	shelf *shelf
	file  string // of the scenario that the server was started with

	compiling sync.Mutex // one text at a time
}

var _ orreryv1alpha1connect.PreviewServiceHandler = (*Preview)(nil)

// newPreview has files that scenarios name be looked for beside this one.
func newPreview(s *shelf, file string) *Preview { return &Preview{shelf: s, file: file} }

// Compile implements the method of the schema.
func (v *Preview) Compile(_ context.Context, req *connect.Request[pb.CompileRequest]) (*connect.Response[pb.CompileResponse], error) {
	text := []byte(req.Msg.GetText())
	if len(text) > maxText {
		return nil, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("the scenario has %d bytes; want at most %d", len(text), maxText))
	}
	v.compiling.Lock()
	defer v.compiling.Unlock()
	p, err := v.compile(text)
	if err == nil {
		return connect.NewResponse(&pb.CompileResponse{Plan: v.shelf.put(text, p)}), nil
	}
	return connect.NewResponse(&pb.CompileResponse{Problems: problems(err)}), nil
}

func (v *Preview) compile(text []byte) (*plan.Plan, error) {
	s, err := scenario.Parse(v.file, text)
	if err != nil {
		return nil, err
	}
	for i := range s.Spec.Constellations {
		f := s.Spec.Constellations[i].File
		if f != nil && !filepath.IsLocal(f.Path) {
			return nil, s.Problem(fmt.Sprintf("spec.constellations[%d].file.path", i),
				fmt.Sprintf("the file %q is not beside the scenario", f.Path), "a preview reads no files from elsewhere; name one in the same directory")
		}
	}
	return plan.Compile(s)
}

// problems that an error tells of.
func problems(err error) (out []*pb.Problem) {
	var all scenario.Errors
	var one *scenario.Problem
	switch {
	case errors.As(err, &all):
	case errors.As(err, &one):
		all = scenario.Errors{one}
	default:
		return []*pb.Problem{{What: err.Error()}}
	}
	for _, p := range all {
		out = append(out, &pb.Problem{Line: int32(p.Line), Column: int32(p.Column), Path: p.Path, What: p.What, Right: p.Right})
	}
	return out
}

// Complete implements the method of the schema.
func (v *Preview) Complete(_ context.Context, req *connect.Request[pb.CompleteRequest]) (*connect.Response[pb.CompleteResponse], error) {
	if len(req.Msg.GetText()) > maxText {
		return nil, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("the scenario has %d bytes; want at most %d", len(req.Msg.GetText()), maxText))
	}
	from, list := completion.At(req.Msg.GetText(), int(req.Msg.GetLine()), int(req.Msg.GetColumn()))
	out := &pb.CompleteResponse{FromColumn: int32(from)}
	for _, c := range list {
		out.Candidates = append(out.Candidates, &pb.Candidate{Label: c.Label, Text: c.Text, Kind: string(c.Kind), Detail: c.Detail, Documentation: c.Documentation})
	}
	return connect.NewResponse(out), nil
}

// GetScenario implements the method of the schema.
func (v *Preview) GetScenario(context.Context, *connect.Request[pb.GetScenarioRequest]) (*connect.Response[pb.GetScenarioResponse], error) {
	if v.file == "" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("this run was not started from a file"))
	}
	text, err := os.ReadFile(v.file)
	if err != nil {
		return nil, connect.NewError(connect.CodeNotFound, err)
	}
	if len(text) > maxText {
		return nil, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("%s has %d bytes; want at most %d", v.file, len(text), maxText))
	}
	return connect.NewResponse(&pb.GetScenarioResponse{Name: filepath.Base(v.file), Text: string(text)}), nil
}

// GetSchema implements the method of the schema.
func (v *Preview) GetSchema(context.Context, *connect.Request[pb.GetSchemaRequest]) (*connect.Response[pb.GetSchemaResponse], error) {
	return connect.NewResponse(&pb.GetSchemaResponse{Schema: string(scenario.Schema())}), nil
}
