package gateway

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"orrery.dev/orrery/api/access"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// computing is how long an agent may take to answer from the plan: what it has computed for one
// question it has for the next.
const computing = time.Minute

// GetInventory implements the method of the schema.
func (s *Server) GetInventory(ctx context.Context, req *connect.Request[pb.GetInventoryRequest]) (*connect.Response[pb.GetInventoryResponse], error) {
	out, err := forward(ctx, s, computing, req, Agent.GetInventory)
	if err != nil {
		return nil, err
	}
	// To an agent everybody who comes through the gateway is the owner.
	out.Msg.ReadOnly, out.Msg.InPods, out.Msg.Outside = access.Of(ctx) < access.Owner, true, !s.cluster.Enters()
	return connect.NewResponse(out.Msg), nil
}

// GetPositions implements the method of the schema.
func (s *Server) GetPositions(ctx context.Context, req *connect.Request[pb.GetPositionsRequest]) (*connect.Response[pb.GetPositionsResponse], error) {
	return forward(ctx, s, computing, req, Agent.GetPositions)
}

// GetContacts implements the method of the schema.
func (s *Server) GetContacts(ctx context.Context, req *connect.Request[pb.GetContactsRequest]) (*connect.Response[pb.GetContactsResponse], error) {
	return forward(ctx, s, computing, req, Agent.GetContacts)
}

// GetCoverage implements the method of the schema.
func (s *Server) GetCoverage(ctx context.Context, req *connect.Request[pb.GetCoverageRequest]) (*connect.Response[pb.GetCoverageResponse], error) {
	return forward(ctx, s, computing, req, Agent.GetCoverage)
}

// GetGaps implements the method of the schema.
func (s *Server) GetGaps(ctx context.Context, req *connect.Request[pb.GetGapsRequest]) (*connect.Response[pb.GetGapsResponse], error) {
	return forward(ctx, s, computing, req, Agent.GetGaps)
}
