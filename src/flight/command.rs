//! Flight's opaque bytes → Flight SQL commands. What is not a command is the caller's mistake, and told as such.

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::sql::{Any, Command};
use arrow_flight::{FlightDescriptor, Ticket};
use prost::Message;
use tonic::Status;

/// The command of a descriptor.
pub fn of_descriptor(descriptor: &FlightDescriptor) -> Result<Command, Status> {
    if descriptor.r#type != DescriptorType::Cmd as i32 {
        return Err(Status::invalid_argument("the descriptor is not a command: Flight SQL uses no paths"));
    }
    decode("descriptor", &descriptor.cmd)
}

/// The command of a ticket.
pub fn of_ticket(ticket: &Ticket) -> Result<Command, Status> {
    decode("ticket", &ticket.ticket)
}

/// The message of type `M` that an action's body carries in an Any.
pub fn of_action<M: arrow_flight::sql::ProstMessageExt>(action: &str, body: &[u8]) -> Result<M, Status> {
    let refuse = || Status::invalid_argument(format!("the body of action {action} is not a {}", M::type_url()));
    let any = Any::decode(body).map_err(|_| refuse())?;
    any.unpack::<M>().ok().flatten().ok_or_else(refuse)
}

fn decode(what: &str, bytes: &[u8]) -> Result<Command, Status> {
    let any = Any::decode(bytes)
        .ok()
        .filter(|any| !any.type_url.is_empty())
        .ok_or_else(|| Status::invalid_argument(format!("the {what} is not a Flight SQL command")))?;
    let name = any.type_url.clone();
    match Command::try_from(any) {
        Ok(Command::Unknown(_)) => Err(Status::invalid_argument(format!("the {what} has the unknown type {name:?}"))),
        Ok(command) => Ok(command),
        Err(_) => Err(Status::invalid_argument(format!("the {what} says it is {name} and cannot be read as one"))),
    }
}

/// A command that Flight SQL has and this server does not.
pub fn unimplemented(command: &Command, why: &str) -> Status {
    let name = command.type_url().rsplit('.').next().unwrap_or_default().to_owned();
    Status::unimplemented(format!("{name} is not supported: {why}"))
}
