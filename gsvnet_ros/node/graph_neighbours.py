# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What others do that this node cannot work with: a node of its name, a manager of its states."""

from __future__ import annotations

from collections.abc import Callable

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import LifecycleNode

_STARTED_BY = {
    "inactive": {Transition.TRANSITION_CONFIGURE: "configure"},
    "active": {
        Transition.TRANSITION_CONFIGURE: "configure",
        Transition.TRANSITION_ACTIVATE: "activate",
    },
}
"""By state: transitions, as id and label, that a node that started by itself has behind it."""


class NameWatch:
    """Warns when another node has the name of this one.

    Args:
        node: the node.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._told = 1

    def look(self) -> None:
        """Look for nodes of the same name; call it once a second."""
        own = (self._node.get_name(), self._node.get_namespace())
        number = self._node.get_node_names_and_namespaces().count(own)
        if number > max(1, self._told):
            name = self._node.get_fully_qualified_name()
            alike = sum(
                (publisher.node_name, publisher.node_namespace) == own
                for publisher in self._node.get_publishers_info_by_topic("/diagnostics")
            )
            self._node.get_logger().warning(
                f"{number} nodes are called {name}, and {alike} of them publish diagnostics: "
                "services, parameters and topics of all are mixed up. Stop all but one, or give "
                "each a namespace of its own (launch file: namespace:=NAME, else -r __ns:=/NAME)"
            )
        self._told = number


def explain_autostart(node: LifecycleNode, is_autostarted: Callable[[], bool]) -> None:
    """Let a lifecycle manager be told why it cannot start a node that has started by itself.

    ROS would log two errors that name the numbers of states and transitions.

    Args:
        node: the node.
        is_autostarted: returns whether it configures and activates itself.
    """
    services = {service.srv_type: service for service in node.services}
    change_state, get_state = services[ChangeState].callback, services[GetState].callback

    def answer(
        request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        state = get_state(GetState.Request(), GetState.Response()).current_state.label
        behind = _STARTED_BY.get(state, {}) if is_autostarted() else {}
        # As rclpy reads it: the id counts where there is no label.
        transition = request.transition.label or behind.get(request.transition.id, "")
        if transition not in behind.values():
            return change_state(request, response)
        node.get_logger().warning(
            f"refused to {transition}: this node is {state}, as it starts by itself. For a "
            "lifecycle manager, start it with the parameter autostart at false (launch file: "
            "autostart:=false)",
            once=True,
        )
        response.success = False
        return response

    services[ChangeState].callback = answer
