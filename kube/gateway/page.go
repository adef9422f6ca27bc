package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"connectrpc.com/connect"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// Handler is the API of the scenario, with what a page has beside it: captures and terminals.
func (s *Server) Handler() http.Handler {
	return (&api.Services{Control: s, Sky: s, Download: s.download, Terminal: s.terminal}).Handler()
}

// Exec implements the method of the schema.
func (s *Server) Exec(ctx context.Context, stream *connect.BidiStream[pb.ExecRequest, pb.ExecResponse]) error {
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	if _, err := s.agentOf(ctx, first.GetNode()); err != nil {
		return err
	}
	return api.Session(ctx, stream, first, s.cluster)
}

// shell is the terminal that every node has. All others are consoles of its daemons.
const shell = "shell"

// terminal opens one in a node's pod.
func (s *Server) terminal(w http.ResponseWriter, r *http.Request) {
	name, program := r.URL.Query().Get("node"), r.URL.Query().Get("program")
	argv := []string{"/bin/sh"}
	if program != "" && program != shell {
		a, err := s.agentOf(r.Context(), name)
		if err != nil {
			refuse(w, err)
			return
		}
		n, err := a.GetNode(r.Context(), connect.NewRequest(&pb.GetNodeRequest{Name: name}))
		if err != nil {
			refuse(w, err)
			return
		}
		if !slices.Contains(n.Msg.GetTerminals(), program) {
			http.Error(w, "node "+name+" has no program "+strconv.Quote(program), http.StatusNotFound)
			return
		}
		argv = []string{"orrery", "node", "console"}
	} else if _, err := s.agentOf(r.Context(), name); err != nil {
		refuse(w, err)
		return
	}
	api.Terminal(r.Context(), w, r, s.cluster, name, argv)
}

// download answers with the capture of a port.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	name, port := r.PathValue("node"), r.PathValue("port")
	a, err := s.agentOf(r.Context(), name)
	if err != nil {
		refuse(w, err)
		return
	}
	api.Download(w, name, port, func(send func([]byte) error) error {
		stream, err := a.Capture(r.Context(), connect.NewRequest(&pb.CaptureRequest{Node: name, Port: port}))
		if err != nil {
			return err
		}
		defer func() { _ = stream.Close() }()
		for stream.Receive() {
			if err := send(stream.Msg().GetData()); err != nil {
				return err
			}
		}
		return stream.Err()
	})
}

// refuse answers a request that is none of the schema.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	if connect.CodeOf(err) == connect.CodeNotFound {
		status = http.StatusNotFound
	}
	text := err.Error()
	if c := new(connect.Error); errors.As(err, &c) {
		text = c.Message()
	}
	http.Error(w, text, status)
}
